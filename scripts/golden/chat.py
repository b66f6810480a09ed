"""Chat templates as transformers renders them: test/golden/chat/prompts.json and constructs.json.

  python scripts/golden/chat.py        (transformers 5, which brings Jinja2; no model, no network)

prompts.json: each template of templates/ (forms that published models have, some shortened) with conversations as a client
sends them. constructs.json: single constructs, null where Jinja2 raises. The environment is transformers' own
(_compile_jinja_template), messages go through the steps of apply_chat_template; the time is fixed. Two rules are Layerwise's
own, and are applied by hand here: arguments of calls become objects but for templates that write them as text, and parts of
a content are joined but for templates that go through them.
"""

import json
from datetime import datetime
from pathlib import Path

from transformers.utils.chat_template_utils import (
    _alias_reasoning_fields,
    _compile_jinja_template,
    _normalize_chat_messages,
    _plain_template_data,
)

GOLDEN = Path(__file__).parents[2] / "test" / "golden" / "chat"
NOW = datetime(2026, 3, 4, 15, 6, 7)
WORDS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
WRITE_ARGUMENTS = {"deepseek-r1", "deepseek-tools"}
LOOP_OVER_PARTS = {"gemma-3"}
KNOW_TOOLS = ["llama-3.1", "qwen2.5", "qwen3", "mistral-v0.3", "command-r", "deepseek-tools", "deepseek-r1"]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Wetter für „Zürich“ <b>&</b> 'quotes' 😀",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "a city"},
                    "days": {"type": "array", "items": {"type": "integer"}, "description": ""},
                    "limit": {"type": ["number", "boolean"], "default": 1.0, "maximum": 1e16, "minimum": 1e-7},
                    "B": {"type": "object", "additionalProperties": {"type": "string"}, "description": "map"},
                },
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "noop", "description": "Nothing.", "parameters": {"type": "object", "properties": {}, "required": []}}},
]

SYSTEM = {"role": "system", "content": " Be brief.\n"}
CONVERSATIONS = {
    "one": [{"role": "user", "content": "hi"}],
    "turns": [
        SYSTEM,
        {"role": "user", "content": "\n\tWas ist 1+1? 😀 \u0085\ufeff"},
        {"role": "assistant", "content": "\ufeff 2\u00a0\x1c"},
        {"role": "user", "content": "a\r\nb\n\n\nc \u2028"},
    ],
    "assistant first": [{"role": "assistant", "content": "I first"}, {"role": "user", "content": "b"}],
    "thinking": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nanswer"},
        {"role": "user", "content": "b"},
    ],
    "empty": [{"role": "system", "content": ""}, {"role": "user", "content": "  "}],
    "parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": [{"type": "text", "text": " one "}, {"type": "text", "text": "two "}]},
    ],
}
CALLS = {
    "call": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {
                    "id": "abcdefghi",
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "arguments": '{"city": "Zürich \\"ZH\\" \\u00e9 \\/ \\u2028", "10": 1.0, "2": [1, 2.5, 1e16, 1e-7, 12345678901234567890], "x": {"b": null, "a": true}, "e": {}, "f": []}',
                    },
                }
            ],
        },
        {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": '{"deg": 12}'},
        {"role": "assistant", "content": "Twelve."},
        {"role": "user", "content": "Thanks"},
    ],
    "calls": [
        SYSTEM,
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning": "Let me see.",
            "tool_calls": [
                {"id": "abcdefghi", "type": "function", "function": {"name": "noop", "arguments": ""}},
                {"id": "abcdefghj", "type": "function", "function": {"name": "noop", "arguments": '{"a": 1}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "abcdefghi", "content": "1"},
        {"role": "tool", "tool_call_id": "abcdefghj", "content": "2"},
    ],
}
REASONS = {"qwen3"}


def prepare(messages, template):
    """What apply_chat_template does, and the two rules of the header."""
    messages = _alias_reasoning_fields(_plain_template_data(_normalize_chat_messages(messages)))
    for message in messages:
        content = message.get("content")
        if isinstance(content, list) and template not in LOOP_OVER_PARTS:
            message["content"] = "".join(part["text"] for part in content)
        for call in message.get("tool_calls", []):
            if template not in WRITE_ARGUMENTS:
                call["function"]["arguments"] = json.loads(call["function"]["arguments"] or "{}")
    return messages


def render(source, variables):
    given = {"tools": None, "documents": None, "add_generation_prompt": True, **WORDS, **variables}
    try:
        return _compile_jinja_template(source).render(strftime_now=NOW.strftime, **given)
    except Exception as error:  # whatever Python says, the text cannot be had
        print(f"  raises {type(error).__name__}: {error}")
        return None


def prompts():
    made = []
    for path in sorted((GOLDEN / "templates").glob("*.jinja")):
        name, source = path.stem, path.read_text(encoding="utf-8")
        cases = [(one, False, {}) for one in CONVERSATIONS]
        if name in KNOW_TOOLS:
            cases += [("one", True, {}), ("turns", True, {}), ("call", False, {}), ("call", True, {})]
            cases += [("calls", False, {})] if name in REASONS else []
        if name in ("qwen3", "smollm3"):
            cases.append(("turns", False, {"enable_thinking": False}))
        if name == "granite":
            cases.append(("one", False, {"controls": {"b": 1, "a": "é"}}))
        if name == "llama-3.1":
            cases.append(("one", False, {"builtin_tools": ["code_interpreter", "search"], "date_string": "1 Jan"}))
            cases.append(("call", True, {"tools_in_user_message": False}))
        for conversation, tools, variables in cases:
            print(name, conversation, tools, variables)
            messages = prepare({**CONVERSATIONS, **CALLS}[conversation], name)
            given = {"messages": messages, "tools": TOOLS if tools else None, **variables}
            text = render(source, given)
            assert text == render(source.replace("\n", "\r\n"), given)
            made.append({"template": name, "conversation": conversation, "tools": tools, "variables": variables, "text": text})
    document = {"words": WORDS, "tools": TOOLS, "conversations": {**CONVERSATIONS, **CALLS}, "prompts": made}
    write("prompts.json", document)


VARIABLES = {
    "s": "Ab c\u00e9😀d",
    "w": "\ufeff \t x y\u0085\x1c\u00a0",
    "n": 7,
    "m": -7,
    "f": 2.5,
    "g": 3.0,
    "big": 1e22,
    "small": 1.5e-7,
    "none_": None,
    "yes": True,
    "l": [3, 1, 2],
    "e": [],
    "words": ["b", "A", "a", "B"],
    "d": {"b": 1, "a": [1, {"x": None}], "items": "own", "10": "ten", "2": "two"},
    "rows": [{"k": "x", "v": 1, "o": {"p": 5}}, {"k": "y", "v": 0}, {"k": "x", "v": None}],
}

# A line is a template, in which ⏎ stands for the end of a line.
CONSTRUCTS = r"""
{{ none_ }}|{{ yes }}|{{ f }}|{{ g }}|{{ big }}|{{ small }}|{{ l }}|{{ d }}|{{ e }}
{{ missing }}|{{ d.missing }}|{{ missing is defined }}|{{ d.missing is undefined }}
{{ missing.x }}
{{ missing + 'a' }}
{{ 'a' + none_ }}
{{ 'a' ~ none_ ~ missing ~ 1 ~ 2.0 ~ true }}
{{ none_ | trim }}|{{ none_ | upper }}|{{ missing | trim }}|{{ n | trim }}
{{ none_ | length }}
{{ missing | length }}|{{ s | length }}|{{ d | length }}|{{ l | count }}
{{ none_ | default('x') }}|{{ none_ | default('x', true) }}|{{ missing | d('y') }}|{{ '' | default('z', boolean=true) }}
[{{ w | trim }}]|[{{ w.strip() }}]|[{{ w.lstrip() }}]|[{{ w.rstrip() }}]
{{ '\n\nab\n'.strip('\n') }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'xyaxy' | trim('xy') }}|{{ ' a\n'.rstrip('\n') }}.
{{ 1 == '1' }}|{{ 1 == 1.0 }}|{{ true == 1 }}|{{ none_ == missing }}|{{ [1, 2] == [1, 2] }}|{{ {'a': 1} == {'a': 1} }}|{{ (1, 2) == [1, 2] }}
{{ 1 in [true] }}|{{ '1' in [1] }}|{{ 'a' in d }}|{{ 'q' not in d }}|{{ 'b' in s }}|{{ [1] in [[1]] }}|{{ 1 in missing }}
{{ 1 in 'a1' }}
{{ 7 // 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 7 / 2 }}|{{ 6 / 2 }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ -2 ** 2 }}|{{ 7.5 // 2 }}|{{ -7.5 % 2 }}
{{ 1 / 0 }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 'a' < 'b' }}|{{ [1, 2] < [1, 3] }}|{{ '\U0001F600' > '\uFFFF' }}
{{ 1 < 'a' }}
{{ s[0] }}|{{ s[-1] }}|{{ s[4:] }}|{{ s[::-1] }}|{{ s[5] }}|{{ s[99] }}|{{ s[:2] }}|{{ s[-3:-1] }}|{{ s[::2] }}
{{ l[0] }}|{{ l[-1] }}|{{ l[9] }}|{{ l[1:] }}|{{ l[:-1] }}|{{ l[::-1] }}|{{ l[-1:-3:-1] }}|{{ l[5:] }}|{{ l[1::-1] }}|{{ l[true] }}|{{ l['x'] }}
{{ d.items is callable }}|{{ d['items'] }}|{{ d.b }}|{{ d['a'][1].x }}|{{ d.get('a') }}|{{ d.get('z') }}|{{ d.get('z', 3) }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}|{{ d.keys() }}|{{ d.values() | list }}|{{ d | items | list }}
{% for k, v in d | dictsort %}{{ k }} {% endfor %}|{{ {'B': 1, 'a': 2} | dictsort(true) }}|{{ {'x': 2, 'y': 1} | dictsort(by='value', reverse=true) }}
{{ {1: 'a', 'k': 2}[1] }}|{{ {1: 'a'}['1'] }}|{{ {1: 'a'} }}|{{ {true: 'q'}[1] }}
{{ d | tojson }}|{{ d | tojson(indent=2) }}|{{ s | tojson(ensure_ascii=true) }}|{{ e | tojson(indent=4) }}|{{ {} | tojson(indent=4) }}
{{ d | tojson(sort_keys=true) }}|{{ l | tojson(separators=(',', ':')) }}|{{ l | tojson(4) }}|{{ l | tojson(indent=0) }}|{{ (1, 2.0) | tojson }}
{{ '<a href="x">&\'' | tojson }}|{{ '\x7f\x1f\u2028\t' | tojson }}|{{ '\x7f' | tojson(true) }}|{{ {1: none, none: 1.5} | tojson }}
{{ missing | tojson }}
{{ l | map('string') | tojson }}
{% for c in 'aé😀' %}[{{ c }}]{% endfor %}|{% for c in missing %}x{% else %}none{% endfor %}
{% for x in none_ %}x{% endfor %}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}
{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}
{% for i in l %}{% if i == 1 %}a{% continue %}{% endif %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endfor %}
{% for i in l %}x{% continue %}{% else %}yet{% endfor %}|{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{% else %}no{% endfor %}|{% for i in l %}{% break %}{% else %}yet{% endfor %}
{{ [none_] | first is none }}|{{ [none_] | last is none }}|{{ {'a': none}.get('a', 3) }}|{{ {'a': none}['a'] is none }}|{{ {'a': none}.a is none }}|{% for x in [none, 1, none] %}{{ loop.previtem }}{{ loop.nextitem }},{% endfor %}
{% for i in l if i > 1 %}{{ i }}{{ loop.length }}{% else %}no{% endfor %}|{% for i in l if i > 9 %}{{ i }}{% else %}no{% endfor %}
{% set a = 1 %}{% for i in l %}{% set a = i %}{% endfor %}{{ a }}
{% for i in l %}{% if loop.first %}{% set z = 1 %}{% endif %}{{ z is defined }}{% endfor %}
{% if true %}{% set q = 5 %}{% endif %}{{ q }}
{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}
{% set ns = namespace({'a': 2}, b=3) %}{{ ns.a }}{{ ns.b }}
{% set ns.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}|{% set (c, e2) = [3, 4] %}{{ c }}{{ e2 }}
{% set a, b = l %}
{% set x %} a{{ n }} {% endset %}[{{ x }}]|{% set y | upper | trim %} b {% endset %}[{{ y }}]
{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% macro f(a, b='x', c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, c=3) }}|{{ f() }}|{{ f(b=2) }}
{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, k=4) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% macro wrap() %}<{{ caller() }}>{% endmacro %}{% call wrap() %}in{{ n }}{% endcall %}
{% macro each() %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) each() %}({{ i }}){% endcall %}
{% macro rec(i) %}{{ i }}{% if i > 0 %}{{ rec(i - 1) }}{% endif %}{% endmacro %}{{ rec(3) }}
{% macro f() %}{{ i }}{% endmacro %}{% for i in l %}{{ f() }}{% endfor %}
{% set i = 9 %}{% macro f() %}{{ i }}{% endmacro %}{% set i = 8 %}{{ f() }}
{% filter upper %}a{{ s }}{% endfilter %}
{% raw %}{{ x }}{% endraw %}|{%- raw -%} {% y %} {%- endraw %} z
{% generation %}a{% set q = 1 %}{% endgeneration %}{{ q }}
a  {%- if true -%}  b  {%- endif -%}  c
  {% if true %}  x  {% endif %}  y
a⏎  {% if true %}⏎  x⏎  {% endif %}⏎  y
a⏎  {%+ if true %}⏎  x⏎  {%- endif +%}⏎  y
a⏎  {{ n }}⏎  {#- c -#}⏎  b {# c #}⏎  c⏎  {# d #}⏎d⏎⏎
{{ '}}' }}{{ "%}" }}{{ '{%' }}|{{ {'a': {'b': 1}}['a']['b'] }}|{{ {'a':{'b':{}}} }}
-}⏎b|{-⏎ %}⏎#}
{{ "a" 'b' }}|{{ 'a\tb\'c\\d\x41\u00e9\q\101' }}|{{ "it's" }}|{{ "a⏎b" }}
{{ 1_000 }}|{{ 0x1F }}|{{ 0b11 }}|{{ 1e3 }}|{{ 1.5e-7 }}|{{ 10000000000000000.0 }}|{{ 123456789012345678901234567890 + 1 }}|{{ 0.1 + 0.2 }}|{{ 1e100 }}
{{ 'a' if false }}|{{ 'a' if true }}|{{ 'a' if false else 'b' if false else 'c' }}
{{ not true }}|{{ not e }}|{{ e or 'x' }}|{{ l and 'y' }}|{{ none_ or missing or 0 }}
{{ s.upper() }}|{{ s.lower() }}|{{ s.title() }}|{{ 'hELLO wORLD'.capitalize() }}|{{ 'hello-wORLD (x' | title }}|{{ 'éA' | capitalize }}|{{ 'ß' | upper }}
{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a b c'.split(none, 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ''.split() }}|{{ ''.split(',') }}
{{ 'abab'.replace('a', 'x') }}|{{ 'abab'.replace('a', 'x', 1) }}|{{ 'ab' | replace('', '-') }}|{{ 'aaa' | replace('a', 'b', 2) }}|{{ none_ | replace('N', 'n') }}
{{ 'abc'.startswith('a') }}|{{ 'abc'.endswith(('x', 'c')) }}|{{ 'abc'.find('c') }}|{{ '😀c'.find('c') }}|{{ 'aXbX'.count('X') }}|{{ 'abc'.find('z') }}
{{ ', '.join(['a', 'b']) }}|{{ l | join('-') }}|{{ rows | join(',', attribute='k') }}|{{ [none, true, 1.0] | join }}|{{ s | join('.') }}
{{ 'a\nb\r\nc\u2028d'.splitlines() }}|{{ 'ab'.partition('b') }}|{{ 'abc'.removeprefix('a').removesuffix('c') }}|{{ 'abc'.isalpha() }}{{ '12'.isdigit() }}{{ 'aB'.islower() }}{{ ' '.isspace() }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(width=1, blank=true) }}|{{ 'a\nb' | indent('> ') }}
{{ l | first }}|{{ l | last }}|{{ e | first }}|{{ s | first }}|{{ s | last }}|{{ d | first }}
{{ l | sort }}|{{ words | sort }}|{{ words | sort(case_sensitive=true) }}|{{ l | sort(reverse=true) }}|{{ rows[:2] | sort(attribute='v') | map(attribute='k') | list }}
{{ words | unique | list }}|{{ l | sum }}|{{ l | max }}|{{ l | min }}|{{ rows[:2] | sum(attribute='v') }}|{{ e | max }}
{{ rows | selectattr('v') | map(attribute='k') | list }}|{{ rows | rejectattr('v') | list | length }}|{{ rows | selectattr('k', 'equalto', 'x') | list | length }}|{{ rows | selectattr('v', 'none') | list | length }}|{{ rows | map(attribute='o.p', default='-') | list }}
{{ rows | selectattr('missing') | list }}|{{ rows | selectattr('v', 'defined') | list | length }}|{{ rows | rejectattr('o.p', 'defined') | list | length }}
{{ l | select('odd') | list }}|{{ l | reject('gt', 1) | list }}|{{ ['a', ''] | select | list }}|{{ words | map('upper') | join }}|{{ words | map('replace', 'a', 'z') | list }}
{% set g2 = l | map('string') %}{{ g2 | list }}{{ g2 | list }}
{{ l | reverse | list }}|{{ s | reverse }}|{{ l | batch(2) | list }}|{{ l | batch(2, 0) | list }}
{{ '3' | int }}|{{ '3.7' | int }}|{{ 'x' | int }}|{{ 'x' | int(5) }}|{{ 3.9 | int }}|{{ -3.9 | int }}|{{ none_ | int }}|{{ '2' | float }}|{{ 'x' | float }}|{{ true | int }}
{{ 2.5 | round }}|{{ 3.5 | round }}|{{ 7 | round }}|{{ 2.1 | round(method='ceil') }}|{{ -5 | abs }}|{{ -2.5 | abs }}
{{ 5 is odd }}|{{ 4 is even }}|{{ 6 is divisibleby 3 }}|{{ 6 is divisibleby(4) }}|{{ 1 is number }}|{{ true is number }}|{{ true is integer }}|{{ 1.0 is float }}|{{ true is boolean }}
{{ s is string }}|{{ l is iterable }}|{{ s is iterable }}|{{ n is iterable }}|{{ d is mapping }}|{{ l is sequence }}|{{ d is sequence }}|{{ n is sequence }}|{{ d is iterable }}
{{ none_ is none }}|{{ missing is none }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ 0 is false }}|{{ none_ is not none }}|{{ not none_ is none }}
{{ 1 is eq 1 }}|{{ 1 is lt 2 }}|{{ 1 is in [1] }}|{{ 'a' is in 'abc' }}|{{ none_ is sameas none }}|{{ 'abc' is lower }}|{{ 'ABC' is upper }}|{{ 'x' is equalto 'x' }}|{{ 2 is ge 3 }}
{{ 2.5 is odd }}|{{ -3 is odd }}|{{ missing in d }}|{{ none_ | map('upper') | list }}|{{ 0 | select | list }}|{{ '%%' % l }}
{{ n[1:] }}
{{ missing | int }}
{{ s is sequence not in words }}
{{ 'a' is nosuchtest }}
{{ 'a' | nosuchfilter }}
{% nosuchtag %}
{{ range(3) | list }}|{{ range(1, 4) | list }}|{{ range(5, 0, -2) | list }}|{% for i in range(2) %}{{ i }}{% endfor %}|{{ range(3)[1] }}|{{ range(2) | length }}
{{ dict(a=1, b=2) }}|{{ dict({'a': 1}, b=2).b }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %B %A %a %y %I %p %j %% %-d %-m') }}
{{ raise_exception('no: ' ~ n) }}
{{ l.append(4) }}
{{ d.update({'q': 1}) }}
{{ (1,) }}|{{ (1, 'a') }}|{{ () }}|{{ 'it\'s "x"' }}|{{ ['it\'s', '"', '\'"', '\n', '\x00', 'é', '\u200b', '\U0001F600'] }}|{{ [1.0, none, true, missing] }}
{{ 'ab' * 2 }}|{{ [1] * 2 }}|{{ [1] + [2] }}|{{ (1,) + (2,) }}|{{ 'x' + 1 | string }}|{{ true + 1 }}
{{ [1] + (2,) }}
{{ '%s is %d and %05d%%' % ('a', 3, 42) }}|{{ '%s' | format(1.0) }}|{{ '%s' % none_ }}|{{ '[%3s]' % 'é' }}
{{ l | length > 2 and s is string or false }}|{{ 1 + 2 * 3 ~ 'x' }}|{{ 1 ~ 2 + 3 }}
{{ (s | length) - 1 }}|{{ -n | abs }}|{{ n - 1 }}|{{ n -1 }}|{{ [n, -1] }}
{{ 'safe' | safe }}|{{ s | upper | safe }}|{{ s | wordcount }}
{{ s.nosuch }}|{{ n.nosuch }}|{{ none_.x }}|{{ s['upper']() }}|{{ l.0 }}|{{ d.2 }}
{{ n() }}
{% if missing %}a{% elif n == 7 %}b{% else %}c{% endif %}|{% if n == 1 or n == 7 and s %}x{% endif %}
{% for a, b in [[1, 2], (3, 4)] %}{{ a }}{{ b }}{% endfor %}|{% for i in (1, 2) %}{{ i }}{% endfor %}|{% for i in 1, 2 %}{{ i }}{% endfor %}
{% for i in l %}{% for j in l %}{{ loop.index }}{% if j == 1 %}{% break %}{% endif %}{% endfor %}{{ loop.index }};{% endfor %}
{% print n, 'a' %}|{{ (n, s)[0] }}|{{ n, s }}
{% if not loop is defined %}no loop{% endif %}
{{ tools is none }}|{{ tools is defined }}|{{ documents is none }}|{{ bos_token }}{{ unk_token }}|{{ sep_token is defined }}
{{ d.a is defined and d.a }}|{{ (d.zz or {}).get('x', 'q') }}|{{ d.get('a')[0] }}
{{ {'a': 1, 'a': 2} }}|{{ {'x': l, **{}} if false }}
{{ f | string }}|{{ l | string }}|{{ none_ | string }}|{{ true | string }}|{{ d | string | length }}
{{ (words | sort)[0] }}|{{ words | list | length }}|{{ words | map('length') | sum }}
{{ ' x ' | trim | length }}|{{ 'A' | lower ~ 'b' }}|{{ 'a' ~ 'b' | upper }}|{{ ('a' ~ 'b') | upper }}
{{ 1 if n is divisibleby(7) and not n is even else 2 }}
{{ namespace }}{{ 1
""".strip("\n").split("\n")


def constructs():
    made = []
    for line in CONSTRUCTS:
        source = line.replace("⏎", "\n")
        print(source)
        made.append({"template": source, "text": render(source, VARIABLES)})
    write("constructs.json", {"words": WORDS, "variables": VARIABLES, "constructs": made})


def write(name, document):
    (GOLDEN / name).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    prompts()
    constructs()
