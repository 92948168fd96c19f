// The newest tokens of some texts, through all layers in one call: one of each as they are continued, many of one as it
// is read. A row is a token. The twin in PyTorch is `GPT.hidden` with a cache.
//
// A row's arithmetic depends neither on how many there are, nor on the others, nor on how many threads share the work:
// every number is computed by one thread, its sums in an order of their own. So a text may be read in any parts, too.

#include <atomic>
#include <cmath>
#include <cstddef>
#include <type_traits>

#include <omp.h>

#include "choosing.h"
#include "decoding_call.h"
#include "tiled_attention.h"

namespace {

constexpr bool OWN_ROWS = true;
constexpr float EPSILON = 1e-5f;  // of layer norms

constexpr int WORKS = 5;  // of a layer that threads share: its products and its heads
constexpr int ROUND = 64;
inline size_t up(size_t bytes) { return (bytes + ROUND - 1) / ROUND * ROUND; }

template <class W>
struct Scratch {
    float *x, *a, *qkv;       // (rows, C), (rows, C), (rows, 3 C)
    char *wide, *prepared;    // (rows, 4 C), as numbers or prepared; of up to so many, prepared
    float* scores;            // (threads, keys)
    char* tiled;              // of a head a thread
    std::atomic<int>* taken;  // of each of a layer's shared works and the last one, how much threads have taken on
    size_t keys, tiled_bytes, bytes;

    Scratch(const Model& model, const Step& step, char* base) {
        size_t C = model.n_embd, rows = step.rows, threads = step.threads, at = 0;
        auto take = [&](size_t size) {
            char* here = base + at;
            at += up(size);
            return here;
        };
        keys = up((size_t)step.most_keys * 4 + ROUND) / 4 + ROUND;
        tiled_bytes = step.reads ? TiledAttention::bytes(step.most_keys, C / model.n_head) : 0;
        x = (float*)take(rows * C * 4);
        a = (float*)take(rows * C * 4);
        qkv = (float*)take(rows * C * 12);
        wide = take(W::one_by_one ? W::prepared_bytes(rows, 4 * model.n_embd) : rows * C * 16);
        scores = (float*)take(threads * keys * 4);
        prepared = take(W::prepared_bytes(rows, 4 * model.n_embd));
        tiled = take(threads * tiled_bytes);
        taken = (std::atomic<int>*)take((model.n_layer * WORKS + 1) * sizeof(std::atomic<int>));
        bytes = at;
    }
};

void normalize(const float* x, const Norm& norm, int C, float* to) {
    Floats sum{};
    for (int c = 0; c < C; c += LANES) sum += C - c < LANES ? numbers(x + c, C - c) : numbers(x + c);
    float mean = total(sum) / C;
    Floats squares{};
    for (int c = 0; c < C; c += LANES) {
        int count = C - c < LANES ? C - c : LANES;
        Floats away = numbers(x + c, count) - all(mean, count);
        squares += away * away;
    }
    float inverse = 1.0f / std::sqrt(total(squares) / C + EPSILON);
    for (int c = 0; c < C; c += LANES) {
        int count = C - c < LANES ? C - c : LANES;
        Floats value = (numbers(x + c, count) - mean) * inverse;
        keep(to + c, value * numbers(norm.weight + c, count) + numbers(norm.bias + c, count), count);
    }
}

// One thread's part of one token.
template <class W>
class Worker {
   public:
    typedef typename W::Cached Cached;

    Worker(const Model& model, const Step& step, const Scratch<W>& scratch, int thread, int threads)
        : model(model), step(step), scratch(scratch), thread(thread), threads(threads), M(step.rows), T(step.tokens),
          texts(M / T), C(model.n_embd), H(model.n_head), D(model.n_embd / model.n_head),
          attention(D, scratch.scores + (size_t)thread * scratch.keys) {}

    void run() {
        Tiles tiles;
        for_mine(model.n_layer * WORKS + 1, [&](int i) { scratch.taken[i] = 0; });
        for_mine(M, [&](int m) { embed(m); });
        const Norm* settled = nullptr;  // of a post-norm model: the norm that the residual stream still has to pass
        for (int l = 0; l < model.n_layer; l++) {
            const Layer& layer = model.layers[l];
            normalized(layer.ln_1, settled);
            const void* from = prepared(scratch.a, OWN_ROWS, M, C);
            multiply(from, M, 3 * C, C, layer.c_attn, [&](int m, int n, int count, Floats y) {
                keep(scratch.qkv + (size_t)m * 3 * C + n, y, count);
            });
            barrier();
            attend(layer, l);
            project(prepared(scratch.a, !OWN_ROWS, M, C), C, layer.attn_proj);
            normalized(layer.ln_2, &layer.ln_1);
            from = prepared(scratch.a, OWN_ROWS, M, C);
            multiply(from, M, 4 * C, C, layer.c_fc, [&](int m, int n, int count, Floats y) {
                keep_wide(m, n, count, gelu(y));
            });
            project(wide(), 4 * C, layer.mlp_proj);
            settled = &layer.ln_2;
        }
        if (!step.logits) return;
        finish(settled);
        int V = model.n_vocab;
        const void* from = prepared(scratch.a, OWN_ROWS, texts, C);
        multiply(from, texts, V, C, model.head, [&](int i, int n, int count, Floats y) {
            keep(step.logits + (size_t)i * V + n, y, count);
        });
    }

   private:
    const Model& model;
    const Step& step;
    const Scratch<W>& scratch;
    const int thread, threads, M, T, texts, C, H, D;
    CacheAttention<Cached> attention;
    int work = 0;

    static void barrier() {
#pragma omp barrier
    }

    float* x(int m) { return scratch.x + (size_t)m * C; }
    float* a(int m) { return scratch.a + (size_t)m * C; }

    template <class Each>
    void for_mine(int count, Each each) {
        Range mine = share(count, thread, threads);
        for (int i = mine.begin; i < mine.end; i++) each(i);
    }

    // Each thread takes on more as it is done: they are seldom equally fast.
    template <class Each>
    void for_taken(int count, Each each) {
        std::atomic<int>& taken = scratch.taken[work++];
        int some = count / (threads * 8) + 1;
        for (int i; (i = taken.fetch_add(some, std::memory_order_relaxed)) < count;)
            each(Range{i, i + some < count ? i + some : count});
    }

    void embed(int m) {
        auto* token = (const Cached*)model.wte + (size_t)step.ids[m] * C;
        auto* position = (const Cached*)model.wpe + (size_t)step.positions[m] * C;
        for (int c = 0; c < C; c += LANES) {
            int count = C - c < LANES ? C - c : LANES;
            keep(x(m) + c, numbers(token + c, count) + numbers(position + c, count), count);
        }
    }

    // What a sub-block reads, into `a`: of a pre-norm model the normalized stream, else the stream itself, settled.
    void normalized(const Norm& before, const Norm* after) {
        for_mine(M, [&](int m) {
            if (model.pre_norm) {
                normalize(x(m), before, C, a(m));
            } else {
                if (after) normalize(x(m), *after, C, x(m));
                std::memcpy(a(m), x(m), C * sizeof(float));
            }
        });
    }

    // What the logits of each text are made of, from its last row: the first rows of `a`.
    void finish(const Norm* settled) {
        for_mine(texts, [&](int text) {
            int m = text * T + T - 1;
            if (!model.pre_norm && settled) normalize(x(m), *settled, C, x(m));
            if (model.final_norm)
                normalize(x(m), model.ln_f, C, a(text));
            else
                std::memcpy(a(text), x(m), C * sizeof(float));
        });
    }

    // What products take of (rows, K) numbers, which are there once all threads have come so far, or of each thread's
    // own rows already.
    const void* prepared(const float* from, bool own_rows, int rows, int K) {
        if (W::in_place) return from;
        if (!own_rows) barrier();
        for_mine(rows, [&](int m) { W::prepare(from + (size_t)m * K, m, rows, K, scratch.prepared); });
        return scratch.prepared;
    }

    void keep_wide(int m, int n, int count, Floats y) {
        if constexpr (W::one_by_one)
            W::prepare(y, count, m, n, 4 * C, scratch.wide);
        else
            keep((float*)scratch.wide + (size_t)m * 4 * C + n, y, count);
    }

    const void* wide() {
        return W::one_by_one ? scratch.wide : prepared((const float*)scratch.wide, !OWN_ROWS, M, 4 * C);
    }

    // (rows, K) times a layer's weights, with its bias, to the sink, once all threads have done their part before it.
    template <class Sink>
    void multiply(const void* activations, int rows, int N, int K, const Linear& linear, Sink sink) {
        barrier();
        const float* bias = linear.bias;
        for_taken(ceil_div(N, W::UNIT), [&](Range units) {
            W::multiply(activations, rows, N, K, linear, units, [&](int m, int n, int count, Floats y) {
                sink(m, n, count, bias ? y + numbers(bias + n, count) : y);
            });
        });
    }

    // The same, added to the residual stream.
    void project(const void* activations, int K, const Linear& linear) {
        multiply(activations, M, C, K, linear, [&](int m, int n, int count, Floats y) {
            keep(x(m) + n, numbers(x(m) + n, count) + y, count);
        });
        barrier();
    }

    // A head of a text at a time, its tokens in turn: take in a key and a value, and let the query see what its pattern
    // shows. A later token may overwrite what an earlier one had to see.
    void attend(const Layer& layer, int l) {
        for_taken(texts * H, [&](Range items) {
            for (int item = items.begin; item < items.end; item++) attend(layer, l, item / H, item % H);
        });
    }

    void attend(const Layer& layer, int l, int text, int head) {
        int first = text * T;
        const Place* places = step.places + layer.group * M + first;
        size_t before = (size_t)head * places->n_slots * D;
        void* const* cache = step.caches + ((size_t)text * model.n_layer + l) * 2;
        auto *keys = (Cached*)cache[0] + before, *values = (Cached*)cache[1] + before;
        bool together = step.reads && layer.dense && std::is_same_v<Cached, uint16_t>;
        for (int t = 0; t < T; t++) {
            const float* q = query(first + t, head);
            for (const Write& write : places[t].writes)
                if (write.slot >= 0 && head >= write.head && (head - write.head) % write.step == 0) {
                    attention.keep_in(keys + (size_t)write.slot * D, q + C);
                    attention.keep_in(values + (size_t)write.slot * D, q + 2 * C);
                }
            if (!together) attention.see(q, keys, values, places[t], a(first + t) + (size_t)head * D);
        }
        if (together) see_together(first, head, keys, values);
    }

    const float* query(int m, int head) { return scratch.qkv + (size_t)m * 3 * C + (size_t)head * D; }

    void see_together(int row, int head, const uint16_t* keys, const uint16_t* values) {
        TiledAttention tiled(step.most_keys, D, scratch.tiled + thread * scratch.tiled_bytes);
        int start = step.positions[row];
        tiled.take_in(keys, values, start + T);
        for (int t = 0; t < T; t += 32)
            tiled.attend(
                start + t, T - t < 32 ? T - t : 32, [&](int i) { return query(row + t + i, head); },
                [&](int i, int d, int n, Floats y) { keep(a(row + t + i) + (size_t)head * D + d, y, n); });
    }

    void see_together(int, int, const float*, const float*) {}  // in fp32 they do not

};

template <class W>
void decode(const Model& model, const Step& step) {
    Scratch<W> scratch(model, step, step.scratch);
    if (step.threads == 1) return Worker<W>(model, step, scratch, 0, 1).run();
#pragma omp parallel num_threads(step.threads)
    Worker<W>(model, step, scratch, omp_get_thread_num(), omp_get_num_threads()).run();
}

}  // namespace

extern "C" {

// What `Step.scratch` must hold.
size_t decoding_scratch_bytes(const Model* model, const Step* step) {
    switch (model->format) {
        case FP32: return Scratch<F32>(*model, *step, nullptr).bytes;
        case BF16: return Scratch<Bf16>(*model, *step, nullptr).bytes;
        default: return Scratch<Int8>(*model, *step, nullptr).bytes;
    }
}

// Append the newest tokens of each text to its cache, and write the scores of the next.
void decoding_step(const Model* model, const Step* step) {
    switch (model->format) {
        case FP32: return decode<F32>(*model, *step);
        case BF16: return decode<Bf16>(*model, *step);
        default: return decode<Int8>(*model, *step);
    }
}
}
