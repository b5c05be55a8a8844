"""Names of interests in an LLM's own words: `python -m driftline.engines.write_names JOB.json`."""

from driftline.engines import child

if __name__ == "__main__":
    child.arm()
    child.skip_scikit_learn()

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from driftline.contracts import WriteNamesJob
from driftline.engines import device, memory, weights
from driftline.interests.memory import of_mapping

PROMPT = """Name each group of items in a few words.

Items: whole milk; skim milk; butter; sour cream
Name: milk and dairy

Items: claw hammer; wood screws; cordless drill; tape measure
Name: tools and hardware

Items: {examples}
Name:"""
NEW_TOKENS, LONGEST, LONGEST_PROMPT = 12, 60, 1024


def write_names(job: WriteNamesJob) -> None:
    """Writes a name for every cluster, as the LLM continues a list of examples greedily; empty where it says nothing.

    Raises:
        BadInput: the model's weights are not there.
        child.Stopped: on SIGTERM. Nothing is kept.
    """
    torch.set_num_threads(child.threads())
    clusters = pq.read_table(job.clusters).sort_by("cluster")
    device.take_turns("writing names")
    shapes = memory.shapes(weights.base_model_path(job.base_model))
    if shapes is not None:
        memory.check(of_mapping(shapes, "float32", 1, LONGEST_PROMPT), "choose a smaller training.base_model")
    model, tokenizer = weights.load_causal_lm(job.base_model)
    names = []
    for number, examples in enumerate(clusters["examples"].to_pylist()):
        if child.stopping():
            raise child.Stopped
        child.report("writing names", number, clusters.num_rows)
        asked = tokenizer(PROMPT.format(examples="; ".join(examples)), return_tensors="pt")["input_ids"].to(model.device)
        with torch.inference_mode():
            written = model.generate(
                asked,
                attention_mask=torch.ones_like(asked),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
        text = tokenizer.decode(written[0, asked.shape[1] :], skip_special_tokens=True)
        names.append(text.strip().partition("\n")[0].partition(";")[0][:LONGEST].strip(" .,;:"))
    pq.write_table(pa.table({"cluster": clusters["cluster"], "name": names}), job.out)


if __name__ == "__main__":
    child.main(WriteNamesJob, write_names)
