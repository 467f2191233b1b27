"""Anthropic: messages, count_tokens, models. https://platform.claude.com/docs/en/api/messages"""

import json

from .sending import arguments_for, data_event, tokens, words

CREDENTIAL = "x-api-key"


def error(status, message="The sample provider was asked to fail.", code=None):
    kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 500: "api_error",
            529: "overloaded_error"}.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": code or kind, "message": message}, "request_id": "req_sample"}


def serve(method, path, body, wishes, sender):
    if method != "POST":
        return None
    if path == "/v1/messages/count_tokens":
        sender.document(200, {"input_tokens": tokens(body.get("messages", []))})
        return {}
    return messages(body, wishes, sender) if path == "/v1/messages" else None


def messages(body, wishes, sender):
    made, cut_short = words(wishes, body.get("max_tokens"))
    block = content_block(body, "".join(made))
    stop = "tool_use" if block["type"] == "tool_use" else "max_tokens" if cut_short else "end_turn"
    usage = wishes.replaced({
        "input_tokens": tokens(body.get("messages", [])), "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "output_tokens": len(made),
        "service_tier": "standard"})
    message = {"id": "msg_sample", "type": "message", "role": "assistant", "model": body.get("model", "sample-1"),
               "content": [block], "stop_reason": stop, "stop_sequence": None,
               **({"usage": usage} if usage is not None else {})}
    if body.get("stream") is True:
        sender.events(message_events(message, block, made, stop, usage))
    else:
        sender.document(200, message)
    return usage


def content_block(body, text):
    tools = [tool for tool in body.get("tools") or [] if tool.get("type", "custom") == "custom"]
    last = (body.get("messages") or [{}])[-1].get("content")
    answered = isinstance(last, list) and any(part.get("type") == "tool_result" for part in last)
    if tools and not answered:
        return {"type": "tool_use", "id": "toolu_sample", "name": tools[0]["name"],
                "input": arguments_for(tools[0].get("input_schema"))}
    return {"type": "text", "text": text}


def message_events(message, block, made, stop, usage):
    def event(kind, **members):
        return data_event({"type": kind, **members}, kind)

    # What was written is told at the end; the 1 at the start stands for nothing.
    first = {} if usage is None else {"usage": {**usage, "output_tokens": 1}}
    yield event("message_start", message={**message, "content": [], "stop_reason": None, **first})
    if block["type"] == "tool_use":
        yield event("content_block_start", index=0, content_block={**block, "input": {}})
        text = json.dumps(block["input"], ensure_ascii=False)
        half = len(text) // 2
        for part in (text[:half], text[half:]):
            yield event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": part})
    else:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield event("ping")
        for word in made:
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    last = {} if usage is None else {"usage": {"output_tokens": usage.get("output_tokens", 0)}}
    yield event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, **last)
    yield event("message_stop")
