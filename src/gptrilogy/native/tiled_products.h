// Activations times weights in bf16 and in int8. A row's arithmetic is the same whatever other rows stand beside it.
#pragma once

#include "tiles.h"

namespace {

// Products of rounded activations, sums in fp32.
struct Bf16 {
    typedef uint16_t Cached;
    static constexpr bool in_place = false;
    static constexpr bool one_by_one = true;  // activations can be prepared as they are made, in zeros
    static constexpr int UNIT = PAIR * LANES, BLOCK = 32;

    static size_t prepared_bytes(int M, int K) {
        return (size_t)ceil_div(M, 32) * 2 * ceil_div(K, BLOCK) * TILE_BYTES;
    }

    static void prepare(const float* row, int m, int, int K, void* prepared) {
        int blocks = ceil_div(K, BLOCK);
        for (int block = 0; block < blocks; block++) {
            auto* to = (uint16_t*)((char*)prepared + line(m, block, blocks));
            for (int half = 0; half < BLOCK; half += LANES) {
                int left = K - block * BLOCK - half;
                const float* from = row + block * BLOCK + half;
                Floats x = left >= LANES ? numbers(from) : left > 0 ? numbers(from, left) : Floats{};
                store(to + half, rounded(x));
            }
        }
    }

    // Up to 16 numbers of a row, from its k-th on, which is a multiple of 16.
    static void prepare(Floats x, int count, int m, int k, int K, void* prepared) {
        keep((uint16_t*)((char*)prepared + line(m, k / BLOCK, ceil_div(K, BLOCK))) + k % BLOCK, x, count);
    }

    template <class Sink>
    static void multiply(const void* x, int M, int N, int K, const Linear& linear, Range units, Sink sink) {
        int blocks = ceil_div(K, BLOCK);
#ifdef HAS_AMX
        if (amx_allowed()) {
            for (int pair = units.begin; pair < units.end; pair++)
                for (int m = 0; m < M; m += 32) {
                    if (M - m > 16)
                        in_tiles<2>((const char*)x, m, M, N, blocks, linear, pair, sink);
                    else
                        in_tiles<1>((const char*)x, m, M, N, blocks, linear, pair, sink);
                }
            return;
        }
#endif
        for (int pair = units.begin; pair < units.end; pair++) {
            int m = 0;
            for (; m + 4 <= M; m += 4) in_dots<4>((const char*)x, m, N, blocks, linear, pair, sink);
            for (; m < M; m++) in_dots<1>((const char*)x, m, N, blocks, linear, pair, sink);
        }
    }

   private:
    template <int ROWS, class Sink>
    static void in_dots(const char* x, int m, int N, int blocks, const Linear& linear, int pair, Sink& sink) {
        constexpr int SOME = at_once<ROWS>(PAIR);
        Floats found[ROWS][PAIR];
        for (int first = 0; first < PAIR; first += SOME) {
            Sums sums[ROWS][SOME] = {};
            for (int block = 0; block < blocks; block++) {
                const char *w[SOME], *lines[ROWS];
                find(linear, pair * PAIR + first, block, blocks, m, w);
                for (int i = 0; i < ROWS; i++) lines[i] = x + line(m + i, block, blocks);
                for (int two = 0; two < LANES; two++)
                    for (int j = 0; j < SOME; j++)
                        for (int i = 0; i < ROWS; i++)
                            sums[i][j].add_pairs(w[j] + two * LINE_BYTES, four_bytes(lines[i] + 4 * two));
            }
            for (int i = 0; i < ROWS; i++)
                for (int j = 0; j < SOME; j++) found[i][first + j] = sums[i][j].whole();
        }
        for (int i = 0; i < ROWS; i++) deliver(sink, m + i, pair, N, found[i]);
    }

#ifdef HAS_AMX
    template <int TALL, class Sink>
    static void in_tiles(const char* x, int m, int M, int N, int blocks, const Linear& linear, int pair, Sink& sink) {
        alignas(64) float sums[TALL * 16][PAIR][LANES];
        _tile_zero(0);
        _tile_zero(1);
        if (TALL == 2) {
            _tile_zero(2);
            _tile_zero(3);
        }
        for (int block = 0; block < blocks; block++) {
            const char* w[PAIR];
            find(linear, pair * PAIR, block, blocks, m, w);
            _tile_loadd(4, x + line(m, block, blocks), LINE_BYTES);
            _tile_loadd(6, w[0], LINE_BYTES);
            _tile_loadd(7, w[1], LINE_BYTES);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            if (TALL == 2) {
                _tile_loadd(5, x + line(m + 16, block, blocks), LINE_BYTES);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
        constexpr int STRIDE = PAIR * LANES * sizeof(float);
        _tile_stored(0, sums[0][0], STRIDE);
        _tile_stored(1, sums[0][1], STRIDE);
        if (TALL == 2) {
            _tile_stored(2, sums[16][0], STRIDE);
            _tile_stored(3, sums[16][1], STRIDE);
        }
        for (int i = 0; i < TALL * 16 && m + i < M; i++) {
            Floats values[PAIR] = {numbers(sums[i][0]), numbers(sums[i][1])};
            deliver(sink, m + i, pair, N, values);
        }
    }
#endif
};

// A scale for every 64 inputs, of each output and of each row; sums within them are whole numbers, so exact.
struct Int8 {
    typedef uint16_t Cached;
    static constexpr bool in_place = false;
    static constexpr bool one_by_one = false;  // since 64 share a scale
    static constexpr int UNIT = PAIR * LANES, BLOCK = 64;
    static constexpr int FEW = 4;  // rows up to which AMX's way through memory is the longer one

    static size_t tiles_bytes(int M, int K) { return (size_t)ceil_div(M, 32) * 2 * ceil_div(K, BLOCK) * TILE_BYTES; }

    static size_t prepared_bytes(int M, int K) {
        return tiles_bytes(M, K) + (size_t)M * ceil_div(K, BLOCK) * sizeof(float);
    }

    static float* scales_of(const void* prepared, int M, int K) {
        return (float*)((char*)prepared + tiles_bytes(M, K));
    }

    static void prepare(const float* row, int m, int M, int K, void* prepared) {
        int blocks = ceil_div(K, BLOCK);
        float* scales = scales_of(prepared, M, K) + (size_t)m * blocks;
        for (int block = 0; block < blocks; block++) {
            Floats x[4];
            Ints most{};  // of the bits without the sign: in their order what is no number comes last
            for (int part = 0; part < 4; part++) {
                int left = K - block * BLOCK - part * LANES;
                const float* from = row + block * BLOCK + part * LANES;
                x[part] = left >= LANES ? numbers(from) : left > 0 ? numbers(from, left) : Floats{};
                Ints size = (Ints)x[part] & 0x7fffffff;
                most = size > most ? size : most;
            }
            float peak = ((Floats)(Ints{} + largest(most)))[0], steps = peak > 0 ? 127.0f / peak : 0.0f;
            scales[block] = peak / 127.0f;
            auto* to = (int8_t*)prepared + line(m, block, blocks);
            const Floats magic = all(12582912.0f);
            for (int part = 0; part < 4; part++) {
                Ints whole = (Ints)(x[part] * steps + magic) - (Ints)magic;
                store(to + part * LANES, __builtin_convertvector(whole, Bytes));
            }
        }
    }

    template <class Sink>
    static void multiply(const void* x, int M, int N, int K, const Linear& linear, Range units, Sink sink) {
        int blocks = ceil_div(K, BLOCK);
        const float* scales = scales_of(x, M, K);
        for (int pair = units.begin; pair < units.end; pair++) {
#ifdef HAS_AMX
            if (M > FEW && amx_allowed()) {
                for (int m = 0; m < M; m += 16) in_tiles((const char*)x, scales, m, M, N, blocks, linear, pair, sink);
                continue;
            }
#endif
            int m = 0;
            for (; m + 4 <= M; m += 4) in_dots<4>((const char*)x, scales, m, N, blocks, linear, pair, sink);
            for (; m < M; m++) in_dots<1>((const char*)x, scales, m, N, blocks, linear, pair, sink);
        }
    }

   private:
    static inline Floats scales_at(const Linear& linear, int of_outputs, int block, int blocks) {
        return numbers(linear.scales + ((size_t)of_outputs * blocks + block) * LANES);
    }

    template <int ROWS, class Sink>
    static void in_dots(const char* x, const float* x_scales, int m, int N, int blocks, const Linear& linear, int pair,
                        Sink& sink) {
        constexpr int SOME = at_once<ROWS>(PAIR);
        Floats found[ROWS][PAIR] = {};
        for (int first = 0; first < PAIR; first += SOME)
            for (int block = 0; block < blocks; block++) {
                WholeSums sums[ROWS][SOME] = {}, shift[SOME] = {};
                const char *w[SOME], *lines[ROWS];
                find(linear, pair * PAIR + first, block, blocks, m, w);
                for (int i = 0; i < ROWS; i++) lines[i] = x + line(m + i, block, blocks);
                for (int four = 0; four < LANES; four++)
                    for (int j = 0; j < SOME; j++) {
                        const char* weights = w[j] + four * LINE_BYTES;
                        shift[j].add_shift(weights);
                        for (int i = 0; i < ROWS; i++) sums[i][j].add_fours(weights, four_bytes(lines[i] + 4 * four));
                    }
                for (int j = 0; j < SOME; j++) {
                    Floats scales = scales_at(linear, pair * PAIR + first + j, block, blocks);
                    for (int i = 0; i < ROWS; i++) {
                        Floats both = scales * x_scales[(size_t)(m + i) * blocks + block];
                        Ints sum = sums[i][j].whole() - shift[j].whole();
                        found[i][first + j] += __builtin_convertvector(sum, Floats) * both;
                    }
                }
            }
        for (int i = 0; i < ROWS; i++) deliver(sink, m + i, pair, N, found[i]);
    }

#ifdef HAS_AMX
    template <class Sink>
    static void in_tiles(const char* x, const float* x_scales, int m, int M, int N, int blocks, const Linear& linear,
                         int pair, Sink& sink) {
        alignas(64) int32_t sums[2][PAIR][16][LANES];  // of two blocks in turn, so that a store does not hold up the next
        Floats found[16][PAIR] = {};
        int rows = M - m < 16 ? M - m : 16;
        for (int block = 0; block < blocks; block++) {
            auto& here = sums[block % 2];
            _tile_zero(0);
            _tile_zero(1);
            const char* w[PAIR];
            find(linear, pair * PAIR, block, blocks, m, w);
            _tile_loadd(4, x + line(m, block, blocks), LINE_BYTES);
            _tile_loadd(6, w[0], LINE_BYTES);
            _tile_loadd(7, w[1], LINE_BYTES);
            _tile_dpbssd(0, 4, 6);
            _tile_dpbssd(1, 4, 7);
            _tile_stored(0, here[0], LINE_BYTES);
            _tile_stored(1, here[1], LINE_BYTES);
            Floats scales[PAIR] = {scales_at(linear, pair * PAIR, block, blocks),
                                   scales_at(linear, pair * PAIR + 1, block, blocks)};
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < PAIR; j++) {
                    Floats both = scales[j] * x_scales[(size_t)(m + i) * blocks + block];
                    found[i][j] += __builtin_convertvector(load<Ints>(here[j][i]), Floats) * both;
                }
        }
        for (int i = 0; i < rows; i++) deliver(sink, m + i, pair, N, found[i]);
    }
#endif
};

}  // namespace
