# One image for every tier; the command names which. Unproven: no container engine has built it yet.
FROM python:3.11.15-slim-bookworm

# Compiled loops are kept here, for any processor of this kind.
ENV NUMBA_CACHE_DIR=/var/cache/pixeltally \
    NUMBA_CPU_NAME=generic

WORKDIR /app
COPY . .
RUN pip install --no-cache-dir . \
    && useradd --uid 10001 --no-create-home pixeltally \
    && python -m streams.warm \
    && python -m ingest.warm \
    && chown -R pixeltally /var/cache/pixeltally \
    && install --directory --owner=pixeltally /data

ENV PIXELTALLY_HOST=0.0.0.0 \
    PIXELTALLY_DATA=/data \
    PYTHONUNBUFFERED=1

WORKDIR /data
USER pixeltally
VOLUME /data
ENTRYPOINT ["pixeltally"]
