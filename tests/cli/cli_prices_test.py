"""`nomiqon prices`: showing, checking and importing price books needs no gateway."""

import json
import os
import unittest

from support import CliTest

LITELLM = {
    "sample_spec": {"input_cost_per_token": 0.0},
    "gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06,
              "output_cost_per_token": 1e-05, "input_cost_per_token_flex": 1.25e-06, "output_cost_per_token_flex": 5e-06,
              "max_input_tokens": 128000, "max_output_tokens": 16384, "rpm": 100, "provider_specific_entry": {"us": 1.1},
              "search_context_cost_per_query": {"search_context_size_medium": 0.01}},
    "azure/gpt-x": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 3e-06},
    "odd": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "citation_cost_per_token": 2e-06},
    "zero": {"litellm_provider": "azure", "input_cost_per_token": 0},
}


class Prices(CliTest):
    def setUp(self):
        super().setUp()
        self.environment["NOMIQON_BASE_URL"] = "http://127.0.0.1:1"  # nobody is there

    def file(self, content=None, name="litellm.json"):
        path = os.path.join(self.home, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content or LITELLM))
        return path

    def test_the_gateways_own_prices_are_shown(self):
        listed = self.ok("prices", "show")
        self.assertRegex(listed, r"(?m)^gpt-4o +openai +2\.5 +1\.25 +10 +128,?\S*000 ")
        shown = self.ok("prices", "show", "claude-sonnet-4-5")
        self.assertRegex(shown, r"(?m)^cache_write_1h +default +6 +1M tokens$")
        self.assertIn("web_search", shown)
        data = json.loads(self.ok("prices", "show", "--provider", "anthropic", "--json"))
        self.assertRegex(data["version"], r"^pb_[0-9a-f]{16}$")
        self.assertEqual({model["provider"] for model in data["models"]}, {"anthropic"})

    def test_one_model_is_shown_with_tiers_and_tools(self):
        data = json.loads(self.ok("prices", "show", "gpt-x", "--file", self.file(), "--json"))
        self.assertEqual([model["model"] for model in data["models"]], ["gpt-x"])
        model = data["models"][0]
        self.assertEqual((model["maxInputTokens"], model["multipliers"]), (128000, {"us": "1.1"}))
        rates = {(rate["what"], rate["tier"]): (rate["usd"], rate["per"]) for rate in model["rates"]}
        self.assertEqual(rates["output", "flex"], ("5", "1M tokens"))
        self.assertEqual(rates["web_search", None], ("0.01", "one"))

    def test_a_name_without_its_provider_is_found_at_any(self):
        only = {"azure/gpt-y": LITELLM["azure/gpt-x"], "groq/gpt-y": {**LITELLM["azure/gpt-x"], "litellm_provider": "groq"}}
        shown = self.ok("prices", "show", "gpt-y", "--file", self.file(only))
        self.assertIn("azure/gpt-y", shown)
        self.assertIn("groq/gpt-y", shown)

    def test_an_unknown_model_is_named_with_what_is_near(self):
        self.assertIn("did you mean `gpt-x`", self.fails(1, "prices", "show", "gpt-z", "--file", self.file()))
        self.assertIn("`citation_cost_per_token`", self.fails(1, "prices", "show", "odd", "--file", self.file()))

    def test_check_names_every_entry_without_a_price_and_fails_only_when_strict(self):
        said = self.ok("prices", "check", self.file())
        self.assertIn("odd: `citation_cost_per_token` isn't read", said)
        self.assertIn("zero: it has no rate above zero", said)
        self.assertRegex(said, r"pb_[0-9a-f]{16}: 2 entries with a price, 2 without\n$")
        result = self.run_cli("prices", "check", "--strict", "--json", self.file())
        self.assertEqual(result.returncode, 1)
        data = json.loads(result.stdout)
        self.assertEqual((data["priced"], [each["entry"] for each in data["unpriced"]]), (2, ["odd", "zero"]))
        self.ok("prices", "check", "--strict")  # the gateway's own

    def test_check_refuses_what_is_no_document(self):
        for content in ("[1]", "{", "{}", '{"a": 1e999}'):
            self.fails(1, "prices", "check", self.file(content))
        self.assertIn("can't read", self.fails(1, "prices", "check", "/nowhere.json"))
        self.assertIn("can't read", self.fails(1, "prices", "check", self.home))

    def test_import_keeps_what_has_a_price_and_says_what_it_leaves(self):
        output = os.path.join(self.home, "models.json")
        result = self.run_cli("prices", "import", self.file(), "--output", output)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("2 entries", result.stdout)
        self.assertIn("left out odd", result.stderr)
        with open(output, encoding="utf-8") as file:
            book = json.load(file)
        self.assertEqual(list(book), ["azure/gpt-x", "gpt-x"])
        self.assertNotIn("rpm", book["gpt-x"])
        self.assertEqual(book["gpt-x"]["input_cost_per_token_flex"], 1.25e-06)
        self.ok("prices", "check", "--strict", output)
        self.assertFalse(os.path.exists(output + ".new"))

    def test_import_filters(self):
        output = os.path.join(self.home, "models.json")
        data = json.loads(self.ok("prices", "import", self.file(), "--output", output, "--provider", "azure", "--json"))
        self.assertEqual((data["kept"], [each["entry"] for each in data["leftOut"]]), (1, ["zero"]))
        data = json.loads(self.ok("prices", "import", "-", "--output", output, "--model", "gpt*", "--json",
                                  stdin=json.dumps(LITELLM)))
        self.assertEqual((data["kept"], data["leftOut"]), (1, []))
        self.fails(1, "prices", "import", self.file(), "--output", output, "--provider", "nobody")
        self.fails(1, "prices", "import", self.file(), "--output", "/nowhere/models.json")
        self.fails(2, "prices", "import", self.file())


if __name__ == "__main__":
    unittest.main()
