"""Holds the oracle against transformers: log-probs, entropies and every gradient of every case, both in float64."""

import sys
import tempfile

import reference
import transformers_model
from cases import CONFIGS, random_rows


def relative_difference(a, b):
    return ((a - b).norm() / b.norm().clamp_min(1e-9)).item()


def check(name, config_fields, seed):
    model = transformers_model.random_model(config_fields, seed)
    rows = random_rows(config_fields["vocab_size"], seed)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config, parameters = reference.load_config(folder), reference.load_parameters(folder)
        model = transformers_model.load(folder)
    theirs, ours = transformers_model.logits_of(model), lambda tokens: reference.logits(tokens, parameters, config)
    their_lp, their_entropy = reference.score(rows, theirs)
    our_lp, our_entropy = reference.score(rows, ours)
    their_loss, their_gradients = reference.gradients(rows, theirs, transformers_model.parameters_of(model))
    our_loss, our_gradients = reference.gradients(rows, ours, parameters)
    assert their_gradients.keys() == our_gradients.keys(), their_gradients.keys() ^ our_gradients.keys()
    lp = (their_lp - our_lp).abs().max().item()
    entropy = (their_entropy - our_entropy).abs().max().item()
    gradient = max(relative_difference(our_gradients[tensor], their_gradients[tensor]) for tensor in our_gradients)
    print(f"{name}: log-prob {lp:.1e}, entropy {entropy:.1e}, loss {abs(our_loss - their_loss):.1e}, gradient {gradient:.1e}")
    return lp < 1e-10 and entropy < 1e-10 and abs(our_loss - their_loss) < 1e-9 and gradient < 1e-10


if __name__ == "__main__":
    passed = [check(name, fields, seed) for seed, (name, fields) in enumerate(CONFIGS.items(), start=1)]
    sys.exit(0 if all(passed) else 1)
