"""Searches: Tavily's POST /search (https://docs.tavily.com), and a plain GET /search?q=… of no provider in particular."""

import time
from urllib.parse import parse_qs

CREDENTIAL = "authorization"  # Bearer …


def error(status, message="The sample provider was asked to fail.", code=None):
    return {"detail": {"error": message}}


def results(query, count=3):
    return [{"title": f"About {query}", "url": f"https://docs.example/{n}", "content": f"What there is of {query}.",
             "score": round(1 - n / 10, 1), "raw_content": None} for n in range(1, count + 1)]


def serve(method, path, body, wishes, sender, query=""):
    if path != "/search":
        return None
    if method in ("GET", "HEAD"):
        wanted = parse_qs(query).get("q", [""])[0]
        sender.document(200, {"query": wanted, "results": [
            {"title": each["title"], "url": each["url"]} for each in results(wanted)]})
        return {}
    if method != "POST":
        return None
    credits = 2 if body.get("search_depth") == "advanced" else 1
    usage = wishes.replaced({"credits": credits})
    told = {"usage": usage} if body.get("include_usage") is True and usage is not None else {}
    sender.document(200, {"query": body.get("query", ""), "follow_up_questions": None, "answer": None, "images": [],
                          "results": results(body.get("query", ""), body.get("max_results", 5)),
                          "response_time": round(time.process_time() % 1, 2), "request_id": "sample", **told})
    return usage
