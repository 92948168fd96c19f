// The next token by temperature, top-k and nucleus, without sorting the vocabulary. The twin is `choose_reference`.
//
// Sums here are added in another order than the twin's. So where a draw or the edge of the nucleus falls so near to the
// border of two tokens that rounding could decide, nothing is chosen, and the twin is asked.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "vectors.h"

namespace {

typedef double Doubles __attribute__((vector_size(64)));
typedef int64_t Longs __attribute__((vector_size(64)));

constexpr int EIGHT = 8, BUCKETS = 2048;
constexpr double PER_BUCKET = 1.0 / 48;  // nats; the last bucket holds all below the reach of the others
constexpr double UNSURE = 1e-10;         // of the whole; sums of 100,000 terms are off by 1e-11 at most

// e^x for x <= 0, to within 2e-16 of itself; 0 below -700.
inline Doubles exponential(Doubles x) {
    const Doubles magic = Doubles{} + 6755399441055744.0;  // 1.5 * 2^52: what is added to it is rounded to whole
    Doubles within = x < -700.0 ? Doubles{} - 700.0 : x;
    Doubles shifted = within * 1.4426950408889634 + magic;
    Doubles whole = shifted - magic;
    Doubles rest = within - whole * 6.93147180369123816490e-01 - whole * 1.90821492927058770002e-10;
    Doubles power = Doubles{} + 1.0 / 6227020800.0;
    const double inverse_factorials[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                         1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,     1.0 / 6,
                                         0.5,             1.0,            1.0};
    for (double factor : inverse_factorials) power = power * rest + factor;
    Doubles found = (Doubles)((Longs)power + (((Longs)shifted - (Longs)magic) << 52));
    return x < -700.0 ? Doubles{} : found;
}

// Of the largest, and whether there is any that is no number.
inline float largest_of(const float* x, int n, bool& odd) {
    Floats best = all(-INFINITY);
    Ints strange{};
    for (int i = 0; i < n; i += LANES) {
        int count = n - i < LANES ? n - i : LANES;
        Floats part = count == LANES ? numbers(x + i) : numbers(x + i, count);
        if (count < LANES)
            for (int lane = count; lane < LANES; lane++) part[lane] = -INFINITY;
        strange |= part != part;
        best = larger(part, best);
    }
    for (int lane = 0; lane < LANES; lane++) odd |= strange[lane] != 0;
    return largest(best);
}

class Choice {
   public:
    Choice(const float* logits, int n, double best, double temperature)
        : logits(logits), n(n), best(best), temperature(temperature), masses(n + EIGHT), buckets(n + EIGHT) {
        std::fill(std::begin(mass), std::end(mass), 0.0);
        std::fill(std::begin(size), std::end(size), 0);
        for (int i = 0; i < n; i += EIGHT) {
            Doubles scores{};
            for (int lane = 0; lane < EIGHT; lane++)
                scores[lane] = i + lane < n ? (double)logits[i + lane] - best : -INFINITY;
            scores /= temperature;
            Doubles found = exponential(scores), place = scores * (-1.0 / PER_BUCKET);
            place = place < BUCKETS - 1.0 ? place : Doubles{} + (BUCKETS - 1.0);
            store(&masses[i], found);
            for (int lane = 0; lane < EIGHT; lane++) buckets[i + lane] = (uint16_t)place[lane];
        }
        for (int i = 0; i < n; i++) {
            mass[buckets[i]] += masses[i];
            size[buckets[i]]++;
        }
        for (int bucket = 0; bucket < BUCKETS; bucket++) whole += mass[bucket];
    }

    // The number of likeliest tokens that `top_k` leaves, ties with the last among them.
    void keep_likeliest(int top_k) {
        if (top_k >= n) return;
        int before = 0, bucket = 0;
        while (before + size[bucket] < top_k) before += size[bucket++];
        sort(bucket);
        int within = top_k - before;
        while (within < (int)sorted.size() && sorted[within].first == sorted[within - 1].first) within++;
        cut(bucket, within);
    }

    // The smallest set whose share reaches `top_p`; false where rounding could decide.
    bool keep_nucleus(double top_p) {
        int within;
        double before = 0;
        double reach = top_p * whole;
        int bucket = find(reach, within, before);
        double after = before + mass_of(within);
        bool sure = before < reach - UNSURE * whole && after > reach + UNSURE * whole;
        if (before == 0 && after > reach + UNSURE * whole) sure = true;
        if (sure) cut(bucket, within + 1);
        return sure;
    }

    // The token in whose stretch a draw falls; -1 where rounding could decide.
    int drawn(double uniform) {
        int within;
        double before = 0;
        double aim = uniform * whole;
        find(aim, within, before);
        double after = before + mass_of(within);
        bool sure = (before == 0 || before < aim - UNSURE * whole) && after > aim + UNSURE * whole;
        return sure ? sorted[within].second : -1;
    }

   private:
    const float* logits;
    int n;
    double best, temperature, whole = 0;  // the mass of all that is kept
    std::vector<double> masses;
    std::vector<uint16_t> buckets;
    double mass[BUCKETS];
    int size[BUCKETS];
    int last = BUCKETS - 1, kept_of_last = -1;          // buckets after the last are out; so is the rest of that one
    std::vector<std::pair<double, int>> sorted;         // scores of one bucket, and their tokens, in the twin's order
    int sorted_bucket = -1;

    double mass_of(int within) const { return masses[sorted[within].second]; }

    void sort(int bucket) {
        if (bucket != sorted_bucket) {
            sorted.clear();
            for (int i = 0; i < n; i++)
                if (buckets[i] == bucket) sorted.push_back({((double)logits[i] - best) / temperature, i});
            std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) {
                return a.first != b.first ? a.first > b.first : a.second < b.second;
            });
            sorted_bucket = bucket;
        }
        if (bucket == last && kept_of_last >= 0) sorted.resize(kept_of_last);
    }

    void cut(int bucket, int within) {
        last = bucket;
        kept_of_last = within;
        sorted.resize(within);
        mass[bucket] = whole = 0;
        for (int i = 0; i < within; i++) mass[bucket] += mass_of(i);
        for (int i = 0; i <= bucket; i++) whole += mass[i];
    }

    // The first token, in falling order, up to which the masses are more than `aim`, else the last of any mass: its
    // bucket, which is sorted then, its place there, and the mass before it.
    int find(double aim, int& within, double& before) {
        int bucket = 0, fallback = 0;
        double sum = 0, sum_fallback = 0;
        for (; bucket <= last && sum + mass[bucket] <= aim; bucket++) {
            if (mass[bucket] > 0) fallback = bucket, sum_fallback = sum;
            sum += mass[bucket];
        }
        if (bucket > last) bucket = fallback, sum = sum_fallback;
        sort(bucket);
        for (within = 0, before = sum; within + 1 < (int)sorted.size(); within++) {
            if (before + mass_of(within) > aim) break;
            before += mass_of(within);
        }
        return bucket;
    }
};

}  // namespace

extern "C" {

// A token, or -1 where the twin has to be asked. `top_k` 0 keeps all.
int64_t choose_token(const float* logits, int32_t n, double temperature, int32_t top_k, double top_p, double uniform) {
    bool odd = false;
    float best = largest_of(logits, n, odd);
    if (odd || !std::isfinite(best)) return -1;
    if (temperature == 0) return std::find(logits, logits + n, best) - logits;
    Choice choice(logits, n, best, temperature);
    if (top_k) choice.keep_likeliest(top_k);
    if (top_p < 1 && !choice.keep_nucleus(top_p)) return -1;
    return choice.drawn(uniform);
}
}
