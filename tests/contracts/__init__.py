"""What every task and every method must keep, whatever it is called (the design's contracts ① to ⑫)."""
