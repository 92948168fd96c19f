// Activations times weights in three formats. A row's arithmetic is the same whatever other rows stand beside it.
//
// bf16 and int8 lie in tiles of 1,024 bytes: 16 outputs by 64 bytes of inputs. Within a tile the inputs go by fours of
// bytes, so that one vector holds four bytes of each of 16 outputs, which is what dot products and AMX both take.
#pragma once

#include "sixteens.h"
#include "tile_config.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__linux__)
#define HAS_AMX 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

constexpr int TILE_BYTES = 1024, LINE_BYTES = 64, PAIR = 2;  // a product works on a pair of tiles of outputs

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// ---- AMX: allowed by the system once a process, set up once a thread.

#ifdef HAS_AMX
inline bool amx_allowed() {
    constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18;
    static const bool allowed = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
    return allowed;
}

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
inline bool amx_allowed() { return false; }
class Tiles {
   public:
    ~Tiles() {}
};
#endif

// ---- fp32: the model's own weights.

struct F32 {
    typedef float Cached;
    static constexpr bool in_place = true;  // activations need no preparation
    static constexpr bool one_by_one = false;
    static constexpr int UNIT = 16;         // outputs that are not split among threads

    static int width(int K) { return K; }
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

// ---- What bf16 and int8 have in common: tiles.

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

// Both outputs tiles of a pair to the sink, as far as there are outputs.
template <class Sink>
inline void deliver(Sink& sink, int m, int pair, int N, const Floats values[PAIR]) {
    for (int j = 0; j < PAIR; j++) {
        int n = (pair * PAIR + j) * LANES;
        if (n < N) sink(m, n, N - n < LANES ? N - n : LANES, values[j]);
    }
}

// ---- bf16: products of rounded activations, sums in fp32.

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

// ---- int8: a scale for every 64 inputs, of each output and of each row; sums within them are whole numbers, so exact.

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
