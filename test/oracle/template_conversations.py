"""Random conversations for templates_live.py: plain talk, tools, thoughts, and text that templates trip over."""

NASTY_TEXT = [
    "", " ", "  leading", "trailing \n\n", "\n\nboth\n", "{{ messages }}", "{% raise %}", "{# no #}", "<|im_end|>", "<|eot_id|>\n", "\\boxed{1}\\n", "quote \" and ' and `",
    "\u00a0nbsp\u2003", "\ufeffbom", "\x1c\x85ctl", "tab\there", "emoji \U0001f600\U0001f468\u200d\U0001f469", "\u4f60\u597d", "e\u0301", "</think>", "<think>a</think>b",
    "<think>\n\n</think>\n\nanswer", "<think>\n  deep \n\n thought \n</think>\n\n  answer", "<tool_response>x</tool_response>", "a\r\nb", "line\u2028sep", "100%}\nx", "$x^2$", "0", "True", "None",
    "What is 12 * 7?", "Solve for x: 2x + 3 = 11.", "The answer is 84.", "print(\"{}\".format(1))\n\n    indented",
]
TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "Adds \"two\" numbers <&> more", "parameters": {
        "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number", "default": 1.5}}, "required": ["a", "b"]}}},
    {"type": "function", "function": {"name": "suche", "description": "Größe\nfinden", "parameters": {
        "type": "object", "properties": {"q": {"type": "string", "enum": ["é", "\U0001f600"]}}, "additionalProperties": False}}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]
ARGUMENTS = [{}, {"a": 1, "b": 2}, {"a": -0.5, "b": 1e-7}, {"q": "é \"x\"\n"}, {"list": [1, [2, None]], "deep": {"x": True}}, {"z": 1, "a": 2}]


def text(draw):
    return "".join(draw.choice(NASTY_TEXT) for _ in range(draw.choice([1, 1, 1, 2, 3])))


def conversation(draw):
    messages = []
    if draw.random() < 0.5:
        messages.append({"role": "system", "content": text(draw)})
    for _ in range(draw.randint(1, 4)):
        messages.append({"role": "user", "content": text(draw)})
        if draw.random() < 0.3:
            calls = [
                {"type": "function", "function": {"name": draw.choice(["add", "suche"]), "arguments": draw.choice(ARGUMENTS)}}
                for _ in range(draw.choice([1, 1, 2]))
            ]
            messages.append({"role": "assistant", "content": draw.choice(["", text(draw), None]), "tool_calls": calls})
            for _ in calls:
                messages.append({"role": "tool", "content": draw.choice([text(draw), "{\"r\": 1}"])})
        if draw.random() < 0.8:
            answer = {"role": "assistant", "content": text(draw)}
            if draw.random() < 0.2:
                answer[draw.choice(["reasoning_content", "thinking"])] = text(draw)
            messages.append(answer)
    if draw.random() < 0.05:
        messages = [{"role": "elsewhere", "content": "?"}]
    return messages


def case(draw):
    """Arguments of apply_chat_template beside the template."""
    options = {"add_generation_prompt": draw.random() < 0.6}
    if draw.random() < 0.5:
        options["enable_thinking"] = draw.random() < 0.5
    if draw.random() < 0.4:
        options["tools"] = draw.sample(TOOLS, draw.randint(1, 3))
    variables = {}
    if draw.random() < 0.3:
        variables["date_string"] = "26 Jul 2024"
    if draw.random() < 0.3:
        variables["tools_in_user_message"] = draw.random() < 0.5
    return {"messages": conversation(draw), "options": options, "variables": variables}
