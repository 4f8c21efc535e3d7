"""Packages of LiverLabel: ``models/`` is ``liver_models``, ``apps/`` is ``liver_apps``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "models/__init__.py").read_text(encoding="utf-8"), re.M)[1]
README = HERE / "README.md"

# What the library and the command line need. requirements.lock holds the exact versions known to work.
REQUIRED = [
    "captum>=0.8",
    "diffusers==0.42.1",
    "highdicom>=0.28",
    "matplotlib>=3.9",
    "monai==1.6.1",
    "nibabel>=5.3",
    "numpy>=2.0",
    "pydicom>=3.0",
    "openpyxl>=3.1",
    "pillow>=10",
    "PyMaxflow>=1.3.2",
    "pynrrd>=1.1",
    "rich>=13",
    "safetensors>=0.5",
    "scikit-image>=0.24",
    "scikit-learn>=1.5",
    "scipy>=1.13",
    "threadpoolctl>=3.5",
    "torch==2.13.0",
]
# What the server needs besides monailabel==0.8.5, which goes in with --no-deps (requirements-no-deps.lock).
SERVER = [
    "bcrypt",
    "cachetools",
    "dicomweb-client",
    "expiring-dict",
    "expiringdict",
    "fastapi>=0.115",
    "filelock",
    "girder-client",
    "google-auth",
    "httpx",
    "itk-io",
    "passlib",
    "psutil",
    "pydantic-settings",
    "pyjwt",
    "pynetdicom>=3",
    "python-dotenv",
    "python-multipart",
    "pytorch-ignite",
    "pyyaml",
    "requests",
    "requests-toolbelt",
    "schedule",
    "shapely",
    "simpleitk",
    "tensorboard",
    "timeloop",
    "uvicorn",
    "watchdog",
]


def packages(folder: str, name: str) -> list[str]:
    """Import names of a folder's packages."""
    return [name, *(f"{name}.{package}" for package in find_packages(folder))]


setup(
    name="liverlabel",
    version=VERSION,
    description="A liver's fat, fibrosis and their uncertainty, from images: library, command line and server",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.13",
    package_dir={"liver_models": "models", "liver_apps": "apps"},
    packages=packages("models", "liver_models") + packages("apps", "liver_apps"),
    package_data={"": ["resources/*", "pretrained/*", "*.json", "*.css", "*.md"]},
    include_package_data=False,
    install_requires=REQUIRED,
    extras_require={
        "matlab": ["h5py"],
        "server": SERVER,
        "test": [
            "dcurves",
            "jsonschema",
            "mapie",
            "pytest>=8",
            "pytest-timeout",
            "statsmodels",
        ],
    },
    entry_points={
        "console_scripts": [
            "liverlabel = liver_models.__main__:main",
            "monailabel = liver_apps.entry:main",
        ]
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
