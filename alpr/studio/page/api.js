// Requests to the studio. A failure is an Error whose message is the studio's own sentence.

async function asked(path, method, body, signal) {
  const sent = { method, signal };
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers = { "content-type": "application/json" };
  }
  let answer;
  try {
    answer = await fetch(`api/${path}`, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The studio does not answer; is alpr studio still running?");
  }
  const type = answer.headers.get("content-type") ?? "";
  const told = type.includes("json") ? await answer.json() : { error: await answer.text() };
  if (!answer.ok) throw Object.assign(new Error(told.error), { status: answer.status, told });
  return told;
}

export const get = (path, signal) => asked(path, "GET", undefined, signal);
export const put = (path, body) => asked(path, "PUT", body);
export const post = (path, body) => asked(path, "POST", body);
export const remove = (path) => asked(path, "DELETE");
