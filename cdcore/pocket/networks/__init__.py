"""The networks of a pocket base: tokenizer, U-Net, towers and judge."""
