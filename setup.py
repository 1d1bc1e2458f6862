"""Salus as a package: ``pip install .`` and ``pip install -e .``.

The ranges are those within which the pins of requirements.in (DESIGN: they were seen to work together) may move;
submit.sh installs exactly requirements.lock. What only some formats are read with is an extra. Horovod is not among
them, because it is compiled against the TensorFlow that is already installed (README, "Without submit.sh").
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ("conf", "jobs")


class BuildWithSettings(build_py):
    """Put conf/ and jobs/ into the package, where an installed Salus finds them."""

    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for folder in SHIPPED:
            shutil.copytree(
                ROOT / folder,
                Path(self.build_lib) / "salus" / folder,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )


def version():
    """The version that lib/salus/__init__.py states."""
    for line in (ROOT / "lib" / "salus" / "__init__.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise ValueError("lib/salus/__init__.py states no __version__")


setup(
    name="salus",
    version=version(),
    description="Risk scores for whole populations, from raw files to published, explained scores",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
    ],
    python_requires=">=3.11,<3.12",
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    package_data={"salus": ["**/*.html", "**/*.j2", "**/*.css", "**/*.js", "**/*.json", "**/*.csv", "py.typed"]},
    cmdclass={"build_py": BuildWithSettings},
    install_requires=[
        "pyspark>=4.0.1,<4.1",
        "py4j",
        "delta-spark>=4.0,<4.1",
        "petastorm==0.13.1",
        "pyarrow>=14.0.1,<15",
        "numpy>=1.26,<2",
        "pandas>=2.2,<2.3",
        "keras>=3.13.2,!=3.14.0",
        "es-aces==0.7.2",
        "meds>=0.4.1,<0.5",
        "flexible_schema",
        "polars",
        "pytimeparse",
        "pydantic>=2.12",
        "ruamel.yaml>=0.18",
        "scikit-learn>=1.4",
        "threadpoolctl",
        "scipy>=1.12",
        "statsmodels>=0.14",
        "plotly>=5.20",
        "jinja2>=3.1",
        "markupsafe",
        "mlflow-skinny>=2.14",
        "sqlalchemy>=2",
        "alembic>=1.10",
        "cloudpickle>=3",
        "psutil>=5.9",
        "optuna>=4",
        "setuptools<70",
    ],
    extras_require={
        "cpu": ["tensorflow-cpu>=2.18,<2.19"],
        "gpu": ["tensorflow[and-cuda]>=2.18,<2.19"],
        "signals": ["wfdb>=4", "pyedflib>=0.1.30"],
        "images": ["pydicom>=3"],
        "compounds": ["rdkit>=2024.3"],
        "messages": ["hl7>=0.4"],
    },
    entry_points={"console_scripts": ["salus = salus.launch:main"]},
)
