"""`python -m data_prep.eval_sets FOLDER` writes the generated evaluation sets; see the package's docstring."""

import sys
from pathlib import Path

from data_prep.eval_sets.writing import write_sets

if len(sys.argv) != 2:
    sys.exit("usage: python -m data_prep.eval_sets FOLDER")
for path in write_sets(Path(sys.argv[1])):
    print(path)
