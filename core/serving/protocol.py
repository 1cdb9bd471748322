"""What an endpoint and its callers agree on: headers, paths and common refusals."""

from __future__ import annotations

from core.platform.messages import Message

REQUEST_ID, PREDICTION_IDS, LOG = "X-Request-Id", "X-Prediction-Ids", "X-Prediction-Log"
# They count only with the token.
TOKEN, SOURCE, RUN, SHADOW, SAMPLE, UNLOGGED = (
    "X-Courtside-Token",
    "X-Courtside-Source",
    "X-Courtside-Run",
    "X-Courtside-Shadow",
    "X-Courtside-Sample",
    "X-Courtside-Unlogged",
)
STATUS_PATH = "/.gateway"
LOAD_PATH = "/.gateway/load"
BROKEN = Message("The model closed the connection. Send the request again, or restart the model.")
NO_MODEL = Message("No model answers now. Try again in a minute, or start the model again.")
