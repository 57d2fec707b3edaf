// A video, a webcam or a stream: frame by frame, with what is read in each.

import { get } from "./api.js";
import { at } from "./dom.js";
import { showReading } from "./reading.js";

export function startFilm(keys, viewer, told) {
  let number = -1;
  let playing = false;
  let busy = false;

  async function step(path) {
    if (busy) return false;
    busy = true;
    try {
      const answer = await get(path);
      if (!answer.frame) {
        told(answer.sentence || (answer.ended ? "This is the last frame." : "No frame has come yet."), !answer.ended);
        if (number < 0) viewer.fail(answer.sentence || "No frame has come yet.");
        return answer.live && !answer.ended;
      }
      number = answer.frame.number;
      await viewer.open(`api/film/${number}/image`, true);
      viewer.showFound(answer.reading.plates);
      showReading(answer.reading, (i) => `api/film/${number}/seen/${i}`, null);
      told(`${answer.name}, frame ${number}, ${answer.frame.time_s.toFixed(2)} s. ${answer.sentence}`);
      return true;
    } catch (error) {
      told(error.message, true);
      return false;
    } finally {
      busy = false;
    }
  }

  const next = () => step(`film?after=${number}`);
  async function play() {
    playing = !playing;
    at("counts").textContent = playing ? "playing" : "stopped";
    while (playing && (await next())) await new Promise((resume) => setTimeout(resume, 15));
    playing = false;
    at("counts").textContent = "stopped";
  }

  keys.add("ArrowRight n", "→ n", "next frame", next);
  keys.add("ArrowLeft p", "← p", "previous frame", () => step(`film?after=-1&before=${number}`));
  keys.add("Space", "Space", "play, stop", play);
  next();
}
