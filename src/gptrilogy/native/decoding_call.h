// What a call of `decoding.cpp` is given: the structures that native_model.py and native_decoding.py fill in.
#pragma once

#include "cache_attention.h"
#include "products.h"

namespace {

enum Format : int32_t { FP32, BF16, INT8 };

struct Norm {
    const float *weight, *bias;
};

struct Layer {
    Norm ln_1, ln_2;
    Linear c_attn, attn_proj, c_fc, mlp_proj;
    int32_t group;  // layers of one group keep their positions in the same slots
    int32_t dense;  // whether each token sees all before it, whose slots are their positions
};

struct Model {
    int32_t format, n_embd, n_head, n_layer, n_vocab, pre_norm, final_norm, unused;
    const void *wte, *wpe;  // fp32, or bf16 in the other formats
    Linear head;
    Norm ln_f;
    const Layer* layers;
};

struct Step {
    int32_t rows, tokens, threads;   // rows: `tokens` adjacent ones of each text
    int32_t reads;                   // whether a text is read: its queries are taken together where they see alike
    const int32_t *ids, *positions;  // (rows)
    const Place* places;             // (groups, rows)
    void* const* caches;             // (texts, layers, 2): each (H, slots, D), keys and values
    float* logits;                   // of what follows each text, (texts, n_vocab); or null
    char* scratch;                   // `decoding_scratch_bytes`, aligned to 64 and zeros at first
    int64_t most_keys;               // that any row sees in any layer
};

}  // namespace
