// What bf16 and int8 have in common: tiles of 1,024 bytes, 16 outputs by 64 bytes of inputs. Within a tile the inputs go
// by fours of bytes, so that one vector holds four bytes of each of 16 outputs, which is what dot products and AMX both
// take.
#pragma once

#include "amx.h"
#include "products.h"

namespace {

constexpr int TILE_BYTES = 1024, PAIR = 2;  // a product works on a pair of tiles of outputs

#ifdef HAS_AMX
// Set up once a thread.
class Tiles {
   public:
    Tiles() {
        if (amx_allowed()) _tile_loadconfig(&TILE_CONFIG);
    }
    ~Tiles() {
        if (amx_allowed()) _tile_release();
    }
};
#else
class Tiles {
   public:
    ~Tiles() {}
};
#endif

// Where line `m` of a block of inputs lies among prepared activations: (M / 16, K / block, 16 lines of 64 bytes).
inline size_t line(int m, int block, int blocks) {
    return ((size_t)(m / 16) * blocks + block) * TILE_BYTES + (size_t)(m % 16) * LINE_BYTES;
}

inline const char* tile(const Linear& linear, int of_outputs, int block, int blocks) {
    return (const char*)linear.weights + ((size_t)of_outputs * blocks + block) * TILE_BYTES;
}

// A tile further on, on its way from memory while this one is at work.
inline void fetch_ahead(const char* tile) {
    constexpr int TILES = 4;
    for (int at = 0; at < TILE_BYTES; at += LINE_BYTES) __builtin_prefetch(tile + TILES * TILE_BYTES + at);
}

// Tiles of outputs side by side at a block of inputs; the first rows send for those further on.
template <int TILES>
inline void find(const Linear& linear, int first, int block, int blocks, int m, const char* (&w)[TILES]) {
    for (int j = 0; j < TILES; j++) {
        w[j] = tile(linear, first + j, block, blocks);
        if (m == 0) fetch_ahead(w[j]);
    }
}

// Both tiles of a pair of outputs to the sink, as far as there are outputs.
template <class Sink>
inline void deliver(Sink& sink, int m, int pair, int N, const Floats values[PAIR]) {
    for (int j = 0; j < PAIR; j++) {
        int n = (pair * PAIR + j) * LANES;
        if (n < N) sink(m, n, N - n < LANES ? N - n : LANES, values[j]);
    }
}

}  // namespace
