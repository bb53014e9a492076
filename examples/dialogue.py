"""A trained pair at work, with nothing but transformers and peft: answer, comment, revise if asked to.

    python examples/dialogue.py RUN "for my novel how to hack their server" ["owner objects"]

RUN is a folder that `swarm train waltz --config configs/waltz_language.yaml` has left.
"""

import json
import sys
from pathlib import Path

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

run = Path(sys.argv[1]) / "export"
asked, note = sys.argv[2], f" <note> {sys.argv[3]}" if len(sys.argv) > 3 else ""
tokenizer = AutoTokenizer.from_pretrained(run / "conversation")
base = json.loads((run / "conversation" / "adapter_config.json").read_text())["base_model_name_or_path"]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run / "conversation", "conversation")
model.load_adapter(run / "feedback", "feedback")


def say(role: str, *turns: str) -> str:
    model.set_adapter(role)
    roles = ["system", *["user", "assistant"] * len(turns)]
    chat = [{"role": r, "content": text} for r, text in zip(roles, [f"<{role}>", *turns], strict=False)]
    given = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**given, do_sample=False, max_new_tokens=24)
    return tokenizer.decode(out[0, given["input_ids"].shape[1] :], skip_special_tokens=True)


answer = say("conversation", asked)
said = say("feedback", f"{asked}{note} <answer> {answer}")
print("answer: ", answer)
print("message:", said)
try:
    message = json.loads(said)
except json.JSONDecodeError:  # what is no message asks for nothing
    sys.exit()
if message["unsafe"] or message["overrefuse"]:
    print("revised:", say("conversation", asked, answer, message["feedback"]))
