"""Google's Gemini API: generateContent, streamGenerateContent, countTokens. https://ai.google.dev/api"""

import re

from .sending import data_event, tokens, words

CREDENTIAL = "x-goog-api-key"
PATH = re.compile(r"/v1(?:beta)?/models/([\w.-]+):(\w+)")


def error(status, message="The sample provider was asked to fail.", code=None):
    name = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
            503: "UNAVAILABLE"}.get(status, "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": message, "status": code or name}}


def serve(method, path, body, wishes, sender, query=""):
    found = PATH.fullmatch(path)
    if method != "POST" or not found:
        return None
    model, action = found.groups()
    read = tokens(body.get("contents", []))
    if action == "countTokens":
        sender.document(200, {"totalTokens": read})
        return {}
    if action not in ("generateContent", "streamGenerateContent"):
        return None
    made, cut_short = words(wishes, (body.get("generationConfig") or {}).get("maxOutputTokens"))
    usage = wishes.replaced({
        "promptTokenCount": read, "candidatesTokenCount": len(made), "totalTokenCount": read + len(made),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": read}]})
    finish = "MAX_TOKENS" if cut_short else "STOP"
    if action == "generateContent":
        sender.document(200, part(model, "".join(made), finish, usage))
    elif "alt=sse" in query:
        sender.events(data_event(each) for each in parts(model, made, finish, usage, read))
    else:
        sender.document(200, list(parts(model, made, finish, usage, read)))
    return usage


def parts(model, made, finish, usage, read):
    for number, word in enumerate(made[:-1], 1):
        yield part(model, word, None, usage and {"promptTokenCount": read, "candidatesTokenCount": number,
                                                 "totalTokenCount": read + number})
    yield part(model, made[-1] if made else "", finish, usage)


def part(model, text, finish, usage):
    return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0,
                            **({"finishReason": finish} if finish else {})}],
            **({"usageMetadata": usage} if usage is not None else {}), "modelVersion": model, "responseId": "sample"}
