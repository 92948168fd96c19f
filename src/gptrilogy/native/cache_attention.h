// Causal attention of one new token, a head at a time, over the slots of a cache that its pattern shows.
#pragma once

#include <cmath>

#include "vectors.h"

namespace {

constexpr int AHEAD = 32;  // keys and values that are asked for before they are used

struct Run {
    int32_t start, count, step;
};

struct Write {
    int32_t head, step, slot;  // for heads head, head + step, ...; slot -1: nothing
};

// Where one row of one group keeps its newest position, and what that sees: at most two runs of slots.
struct Place {
    int32_t n_slots;
    Write writes[2];
    Run runs[2];
};

template <class Cached>
class CacheAttention {
   public:
    // D: of a head. scores: a thread's room for as many as there are keys.
    CacheAttention(int D, float* scores) : D(D), scores(scores) {}

    void keep_in(Cached* to, const float* from) {
        for (int d = 0; d < D; d += LANES) {
            int count = D - d < LANES ? D - d : LANES;
            keep(to + d, numbers(from + d, count), count);
        }
    }

    // softmax(q k^T / sqrt(D)) v over the runs of a place.
    void see(const float* q, const Cached* keys, const Cached* values, const Place& place, float* y) {
        int S = 0;
        for (const Run& run : place.runs)
            for (int i = 0; i < run.count; i += LANES) {
                int count = run.count - i < LANES ? run.count - i : LANES;
                keep(scores + S, dots(q, keys, run, i, count), count);
                S += count;
            }
        Floats best = all(-INFINITY), sum{};
        for (int s = 0; s < S; s += LANES)
            if (S - s >= LANES) best = larger(best, numbers(scores + s));
            else for (int i = s; i < S; i++) best = larger(best, all(scores[i]));
        float scale = 1.0f / std::sqrt((float)D), most = largest(best);
        for (int s = 0; s < S; s += LANES) {
            int count = S - s < LANES ? S - s : LANES;
            keep(scores + s, exponential((numbers(scores + s, count) - most) * scale), count);
            sum += numbers(scores + s, count);
        }
        float inverse = 1.0f / total(sum);
        int d = 0;
        for (; d + 4 * LANES <= D; d += 4 * LANES) mix<4>(scores, values + d, place, inverse, y + d, LANES);
        for (; d < D; d += LANES) mix<1>(scores, values + d, place, inverse, y + d, D - d < LANES ? D - d : LANES);
    }

   private:
    const int D;
    float* const scores;

    // The query times up to sixteen keys of a run, from its i-th on.
    Floats dots(const float* q, const Cached* keys, const Run& run, int i, int count) {
        const Cached* from[LANES];
        for (int j = 0; j < LANES; j++)
            from[j] = keys + ((size_t)run.start + (size_t)(i + (j < count ? j : 0)) * run.step) * D;
        fetch(keys + ((size_t)run.start + (size_t)(i + AHEAD) * run.step) * D, run.step, count);
        Floats sums[LANES] = {};
        int d = 0;
        for (; d + LANES <= D; d += LANES) {
            Floats part = numbers(q + d);
            for (int j = 0; j < LANES; j++) sums[j] += part * numbers(from[j] + d);
        }
        if (d < D)
            for (int j = 0; j < LANES; j++) sums[j] += numbers(q + d, D - d) * numbers(from[j] + d, D - d);
        return totals(sums);
    }

    // So many slots, every step-th, on their way from memory; those past the last one do no harm.
    void fetch(const Cached* from, int step, int count) {
        for (int i = 0; i < count; i++)
            for (size_t at = 0; at < D * sizeof(Cached); at += LINE_BYTES)
                __builtin_prefetch((const char*)(from + (size_t)i * step * D) + at);
    }

    // The values of all runs, weighted: WIDE vectors of them, of which the last holds `count` numbers.
    template <int WIDE>
    void mix(const float* weights, const Cached* values, const Place& place, float inverse, float* y, int count) {
        Floats even[WIDE] = {}, odd[WIDE] = {};
        auto add = [&](Floats* sums, float weight, const Cached* from) {
            for (int i = 0; i < WIDE; i++)
                sums[i] += weight * (count < LANES ? numbers(from, count) : numbers(from + i * LANES));
        };
        for (const Run& run : place.runs) {
            const Cached* from = values + (size_t)run.start * D;
            size_t step = (size_t)run.step * D;
            int i = 0;
            for (; i + 2 <= run.count; i += 2) {
                fetch(from + (i + AHEAD) * step, run.step, 2);
                add(even, weights[i], from + i * step);
                add(odd, weights[i + 1], from + (i + 1) * step);
            }
            if (i < run.count) add(even, weights[i], from + i * step);
            weights += run.count;
        }
        for (int i = 0; i < WIDE; i++)
            keep(y + i * LANES, (even[i] + odd[i]) * inverse, count);
    }
};

}  // namespace
