// Activations times weights in fp32, and what products in every format have in common. A row's arithmetic is the same
// whatever other rows stand beside it.
#pragma once

#include "sixteens.h"

namespace {

struct Linear {
    const void* weights;     // fp32: (N, K), a row an output; else tiles (N / 16, K / block)
    const uint16_t* scales;  // int8: of each tile's 16 outputs, bf16
    const float* bias;       // (N), or null
};

struct Range {
    int begin, end;
};

// What one of several threads does of `count` units.
inline Range share(int count, int thread, int threads) {
    return {(int)((int64_t)count * thread / threads), (int)((int64_t)count * (thread + 1) / threads)};
}

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// The model's own weights.
struct F32 {
    typedef float Cached;
    static constexpr bool in_place = true;  // activations need no preparation
    static constexpr bool one_by_one = false;
    static constexpr int UNIT = 16;         // outputs that are not split among threads

    static size_t prepared_bytes(int, int) { return 0; }
    static void prepare(const float*, int, int, int, void*) {}

    // sink(row, first output, how many, their values) for every row and every output of the share.
    template <class Sink>
    static void multiply(const void* activations, int M, int N, int K, const Linear& linear, Range units, Sink sink) {
        auto* x = (const float*)activations;
        auto* w = (const float*)linear.weights;
        for (int n = units.begin * UNIT; n < units.end * UNIT && n < N; n += UNIT) {
            int count = N - n < UNIT ? N - n : UNIT;
            const float* here = w + (size_t)n * K;
            if (M == 1 && count == UNIT)
                block<1, 16>(x, here, 0, n, K, sink);
            else if (count == UNIT) {
                for (int half = 0; half < UNIT; half += 8) {
                    int m = 0;
                    for (; m + 2 <= M; m += 2) block<2, 8>(x, here + (size_t)half * K, m, n + half, K, sink);
                    if (m < M) block<1, 8>(x, here + (size_t)half * K, m, n + half, K, sink);
                }
            } else
                for (int i = 0; i < count; i++)
                    for (int m = 0; m < M; m++) block<1, 1>(x, here + (size_t)i * K, m, n + i, K, sink);
        }
    }

   private:
    template <int ROWS, int OUTPUTS, class Sink>
    static inline void block(const float* x, const float* w, int m, int n, int K, Sink sink) {
        constexpr int SOME = at_once<ROWS>(OUTPUTS);
        Floats sums[LANES] = {};
        x += (size_t)m * K;
        for (int j = 0; j < OUTPUTS; j += SOME) in_registers<ROWS, SOME>(x, w + (size_t)j * K, K, sums + j, OUTPUTS);
        int k = K - K % LANES;
        if (k < K)
            for (int i = 0; i < ROWS; i++)
                for (int j = 0; j < OUTPUTS; j++)
                    sums[i * OUTPUTS + j] +=
                        numbers(x + (size_t)i * K + k, K - k) * numbers(w + (size_t)j * K + k, K - k);
        float found[LANES];
        store(found, totals(sums));
        for (int i = 0; i < ROWS; i++) sink(m + i, n, OUTPUTS, numbers(found + i * OUTPUTS, OUTPUTS));
    }

    // Rows times some outputs, but for the last numbers that fill no vector; to[i * apart + j] of row i and output j.
    template <int ROWS, int SOME>
    static inline void in_registers(const float* x, const float* w, int K, Floats* to, int apart) {
        Sums sums[ROWS][SOME] = {};
        for (int k = 0; k + LANES <= K; k += LANES)
            for (int j = 0; j < SOME; j++)
                for (int i = 0; i < ROWS; i++) sums[i][j].add(x + (size_t)i * K + k, w + (size_t)j * K + k);
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < SOME; j++) to[i * apart + j] = sums[i][j].whole();
    }
};

}  // namespace
