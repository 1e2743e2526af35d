"""`python -m ptofa_gpu.cli`."""

from ptofa_gpu.cli import main

if __name__ == "__main__":
    main()
