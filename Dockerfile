# The app, its workers, endpoints and the MLflow server of compose.yaml.
FROM python:3.11.13-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 courtside \
    && install -d -o courtside -g courtside /srv/courtside

WORKDIR /app
COPY requirements.txt ./
# boto3: the MLflow server keeps artifacts in S3-compatible storage
RUN pip install --no-cache-dir -r requirements.txt boto3==1.44.8
COPY --chown=courtside:courtside app.py pyproject.toml ./
COPY --chown=courtside:courtside .streamlit/config.toml .streamlit/config.toml
COPY --chown=courtside:courtside core core
COPY --chown=courtside:courtside pages pages

USER courtside
ENV COURTSIDE_HOME=/srv/courtside \
    PYTHONUNBUFFERED=1
VOLUME /srv/courtside
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.address", "0.0.0.0"]
