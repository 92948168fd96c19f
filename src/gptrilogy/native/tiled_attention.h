// Causal attention of many tokens of a text, a head at a time, as products of bf16 tiles.
//
// What a query gives depends on its own past alone: beyond it weights are 0, which change no sum.
#pragma once

#include <cmath>

#include "tiled_products.h"

namespace {

// A thread's room for one head: keys and values as the products read weights, and what 32 queries make of them.
class TiledAttention {
   public:
    static size_t bytes(int64_t keys, int D) { return TiledAttention(keys, D, nullptr).end - (char*)nullptr; }

    TiledAttention(int64_t most_keys, int D, char* room) : D(D), d_blocks(ceil_div(D, 32)), end(room) {
        size_t blocks = ceil_div((int)most_keys, 32);
        auto take = [&](size_t tiles) {
            char* here = end;
            end += tiles * TILE_BYTES;
            return here;
        };
        keys = take(2 * blocks * d_blocks);
        values = take(2 * blocks * d_blocks);
        queries = take(2 * d_blocks);
        shares = take(2 * blocks);
        scores = (float*)take(4 * blocks);
    }

    // Keys and values of `count` positions, as they lie in a cache: (count, D).
    void take_in(const uint16_t* k, const uint16_t* v, int count) {
        S = count;
        s_blocks = ceil_div(S, 32);
        std::memset(keys, 0, 2 * TILE_BYTES * (size_t)s_blocks * d_blocks);
        std::memset(values, 0, 2 * TILE_BYTES * (size_t)s_blocks * d_blocks);
        std::memset(shares, 0, 2 * TILE_BYTES * (size_t)s_blocks);
        for (int s = 0; s < S; s++) take_in_key(k + (size_t)s * D, s);
        for (int s = 0; s < S; s += 2) take_in_values(v + (size_t)s * D, s);
    }

    // What up to 32 queries see, of which query i has position `first` + i: q(i) -> fp32 numbers, to
    // sink(i, first number, how many, their values).
    template <class Query, class Sink>
    void attend(int first, int count, Query q, Sink sink) {
        for (int i = 0; i < count; i++) Bf16::prepare(q(i), i, count, D, queries);
        int seen = first + count, stride = s_blocks * 32;
        Range all_keys = {0, ceil_div(seen, Bf16::UNIT)}, all_numbers = {0, ceil_div(D, Bf16::UNIT)};
        Bf16::multiply(queries, count, seen, D, {keys, nullptr, nullptr}, all_keys,
                       [&](int i, int s, int n, Floats x) { keep(scores + (size_t)i * stride + s, x, n); });
        float inverse[32];
        for (int i = 0; i < count; i++) inverse[i] = 1.0f / softmax(i, first + i + 1, scores + (size_t)i * stride);
        Bf16::multiply(shares, count, D, stride, {values, nullptr, nullptr}, all_numbers,
                       [&](int i, int d, int n, Floats x) { sink(i, d, n, x * inverse[i]); });
    }

   private:
    const int D, d_blocks;
    int S = 0, s_blocks = 0;
    char *keys, *values, *queries, *shares, *end;
    float* scores;

    // Where the pair of inputs that begins with an even one stands, in tiles of 16 outputs by 32 inputs.
    static uint32_t* pair(char* tiles, int output, int input, int blocks) {
        size_t tile = (size_t)(output / LANES) * blocks + input / 32;
        return (uint32_t*)(tiles + tile * TILE_BYTES) + input % 32 / 2 * LANES + output % LANES;
    }

    void take_in_key(const uint16_t* k, int s) {
        for (int block = 0; block < D; block += 32) {
            uint32_t* to = pair(keys, s, block, d_blocks);
            int left = D - block < 32 ? D - block : 32;
            for (int d = 0; d < left; d++) ((uint16_t*)(to + d / 2 * LANES))[d % 2] = k[block + d];
        }
    }

    // Two positions, or the last one and nothing.
    void take_in_values(const uint16_t* v, int s) {
        for (int d = 0; d < D; d += LANES) {
            int count = D - d < LANES ? D - d : LANES;
            Words even = bits(numbers(v + d, count)) >> 16;
            Words odd = s + 1 < S ? bits(numbers(v + D + d, count)) : Words{};
            store(pair(values, d, s, s_blocks), even | odd);
        }
    }

    // The numerators of row i, rounded to bf16 among `shares`; their sum is returned.
    float softmax(int i, int n, float* x) {
        Floats best = all(-INFINITY), sum{};
        int s = 0;
        for (; s + LANES <= n; s += LANES) best = larger(best, numbers(x + s));
        for (; s < n; s++) best = larger(best, all(x[s]));
        float scale = 1.0f / std::sqrt((float)D), most = largest(best);
        for (s = 0; s < n; s += LANES) {
            int count = n - s < LANES ? n - s : LANES;
            Floats share = exponential((numbers(x + s, count) - most) * scale) * all(1.0f, count);
            sum += share;
            Bf16::prepare(share, LANES, i, s, S, shares);
        }
        return total(sum);
    }
};

}  // namespace
