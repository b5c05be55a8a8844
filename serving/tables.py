"""A whole table for whoever looks up on the other side: NumPy's format and Arrow's."""

from functools import lru_cache
from io import BytesIO

import numpy as np

from driftline.interests.pairs import pairs
from driftline.serving.channels import ServedChannel

MEDIA_TYPES = {"npy": "application/octet-stream", "arrow": "application/vnd.apache.arrow.stream"}


@lru_cache(maxsize=8)
def npy(served: ServedChannel) -> bytes:
    """int16 (int32 where ids need it) [|C|, |C|]: row c1, column c2, the next interest; −1 where c1 = c2."""
    size, answers = served.pointer.clusters, served.table.answers
    matrix = np.full((size, size), -1, answers.dtype)
    matrix[pairs(size)] = answers
    file = BytesIO()
    np.save(file, matrix)
    return file.getvalue()


@lru_cache(maxsize=8)
def arrow(served: ServedChannel) -> bytes:
    """An IPC stream: c1, c2, c_next int32, sorted by pair; the schema's metadata say which version it is."""
    import pyarrow as pa

    pointer = served.pointer
    facts = {"version": pointer.version, "key": pointer.key, "cluster_set": pointer.cluster_set, "clusters": pointer.clusters}
    columns = (*pairs(pointer.clusters), served.table.answers)
    table = pa.table(dict(zip(("c1", "c2", "c_next"), (pa.array(c.astype(np.int32)) for c in columns), strict=True)))
    table = table.replace_schema_metadata({name: str(value) for name, value in facts.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


FORMATS = {"npy": npy, "arrow": arrow}
