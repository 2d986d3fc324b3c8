"""The recipes: the textbook's, and what we found to learn better.

MXNet is imported only when a recipe is put to use, so that ``--help`` can name them at once.
"""

__all__ = ["PRESETS", "TEXTBOOK", "optimizer_settings"]

# The textbook's settings: Dive into Deep Learning, section 7.3. The others say what they change.
TEXTBOOK = {
    "model": "nin", "dataset": None, "epochs": 5, "batch_size": 128, "resize": 224, "limit": None,
    "lr": 0.1, "momentum": 0.0, "wd": 0.0, "init": "xavier", "schedule": "constant",
    "dtype": "float32", "seed": 0, "ctx": "auto", "kvstore": "device", "data_dir": None,
    "augment": "none", "preprocess": "none",
}
BETTER = {"init": "identity", "lr": 0.02, "momentum": 0.9, "schedule": "cosine"}
PRESETS = {
    "textbook": TEXTBOOK,
    # 67 pixels is the smallest input this net takes.
    "quick": {**TEXTBOOK, **BETTER, "epochs": 2, "batch_size": 64, "resize": 67, "limit": 25000},
    "tuned": {**TEXTBOOK, **BETTER, "epochs": 10, "wd": 5e-4},
    # The mlpconv edition's.
    "mlpconv": {**TEXTBOOK, "model": "mlpconv_nin", "epochs": 20, "resize": 112, "lr": 0.2},
}


def optimizer_settings(config, steps):
    """What `gluon.Trainer` passes to its SGD, for a run of so many steps."""
    import mxnet as mx

    settings = {"learning_rate": config["lr"], "momentum": config["momentum"], "wd": config["wd"]}
    if config["schedule"] == "cosine":
        settings["lr_scheduler"] = mx.lr_scheduler.CosineScheduler(
            steps, base_lr=config["lr"], final_lr=0, warmup_steps=steps // 10)
    return settings
