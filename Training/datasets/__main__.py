"""Report on the data of a configuration, and prepare its patients ahead of a training.

python -m Training.datasets --config demo --cache runs/cache --workers 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from HierSynthLib.commands.terminal import Display, error_line
from HierSynthLib.errors import HierSynthError
from Training.config import read_config
from Training.datasets.loading import load_patients
from Training.datasets.report import report_data


def main() -> int:
    """Command line entry point."""
    parser = argparse.ArgumentParser(prog="python -m Training.datasets", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="settings: a YAML file, or the name of a shipped one")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the prepared patients")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--report-only", action="store_true", help="prepare nothing")
    arguments = parser.parse_args()
    try:
        config = read_config(arguments.config)
        with Display("data") as display:
            report = report_data(config, arguments.cache, arguments.workers, reporter=display)
        report.write(arguments.cache)
        print(report.text())
        if report.errors:
            return 1
        if not arguments.report_only:
            with Display("preparing") as display:
                patients = load_patients(config, arguments.cache, arguments.workers, reporter=display, retry=True)
            counts = (len(patients.train), len(patients.validation), len(patients.calibration), len(patients.test))
            print(f"Prepared: {' + '.join(map(str, counts))} examinations; {len(patients.excluded)} left out.")
    except HierSynthError as error:
        print(error_line(error.message, error.hint), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
