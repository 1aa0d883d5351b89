"""`python -m xrealign_bench`, and what `accelerate launch -m xrealign_bench` starts."""

from xrealign_bench.cli import main

if __name__ == "__main__":
    main()
