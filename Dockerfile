# syntax=docker/dockerfile:1
# Reads plates over HTTP, UDP and TCP; docs/serve.md says how to run it.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY alpr alpr
COPY configs configs
COPY model_bin model_bin
COPY datasets/sources.yaml datasets/scored.csv datasets/
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir '.[serve]' \
 && /venv/bin/pip uninstall --yes pip setuptools \
 && find /venv \( -name __pycache__ -o -name tests \) -prune -exec rm -rf {} + \
 && rm -rf /venv/lib/python3.11/site-packages/onnxruntime/transformers \
           /venv/lib/python3.11/site-packages/onnxruntime/quantization \
           /venv/lib/python3.11/site-packages/onnxruntime/tools

FROM python:3.11-slim
COPY --from=build /venv /venv
RUN useradd --system --uid 10001 --no-create-home alpr
USER 10001
ENV PATH=/venv/bin:$PATH OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 8000/tcp 7000/tcp 6112/udp
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["alpr", "serve"]
CMD ["--http", "0.0.0.0:8000", "--udp", "0.0.0.0:6112"]
