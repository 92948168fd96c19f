// Byte-level BPE learned from text: count GPT-2's pieces, then merge pairs of symbols, the most frequent first.
// `tokenizers/reference.py` says the same slowly; every result here is a fixed function of its input.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

enum Kind : uint8_t { OTHER, LETTER, NUMBER, SPACE };

// A cursor over valid UTF-8 that knows what kind of character it stands at.
struct Scanner {
    const uint8_t* text;
    int64_t size;
    const uint8_t* kinds;  // by code point

    int64_t width(int64_t at) const {
        const uint8_t lead = text[at];
        return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    }

    Kind kind(int64_t at) const {
        const uint8_t* c = text + at;
        uint32_t code = c[0];
        if (code >= 0xF0) code = (code & 7) << 18 | (c[1] & 63) << 12 | (c[2] & 63) << 6 | (c[3] & 63);
        else if (code >= 0xE0) code = (code & 15) << 12 | (c[1] & 63) << 6 | (c[2] & 63);
        else if (code >= 0xC0) code = (code & 31) << 6 | (c[1] & 63);
        return static_cast<Kind>(kinds[code]);
    }

    int64_t contraction(int64_t at) const {  // its end, or `at` where there is none
        const int64_t left = size - at;
        if (left < 2 || text[at] != '\'') return at;
        const uint8_t one = text[at + 1], two = left > 2 ? text[at + 2] : 0;
        if (one == 's' || one == 't' || one == 'm' || one == 'd') return at + 2;
        if ((one == 'r' && two == 'e') || (one == 'v' && two == 'e') || (one == 'l' && two == 'l')) return at + 3;
        return at;
    }

    int64_t run(int64_t at, Kind wanted) const {
        while (at < size && kind(at) == wanted) at += width(at);
        return at;
    }

    // The end of the piece that begins at `at`: the alternatives of GPT-2's pattern in their order.
    int64_t end(int64_t at) const {
        if (const int64_t found = contraction(at); found > at) return found;
        const Kind first = kind(at);
        if (first != SPACE) return run(at, first);
        int64_t last = at, next = at + width(at);
        while (next < size && kind(next) == SPACE) {
            last = next;
            next += width(next);
        }
        if (next == size) return next;                 // nothing follows: all of the white space
        if (last > at) return last;                    // the last one is left to what follows
        return text[at] == ' ' ? run(next, kind(next)) : next;
    }
};

uint64_t hash_of(const uint8_t* data, int64_t size) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ static_cast<uint64_t>(size), word = 0;
    for (; size >= 8; data += 8, size -= 8) {
        std::memcpy(&word, data, 8);
        h = (h ^ word) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    word = 0;
    for (int64_t i = 0; i < size; ++i) word = word << 8 | data[i];
    h = (h ^ word) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

// Pieces of one text and how often each occurs, in the order of their first occurrence.
struct Counts {
    struct Piece {
        int64_t start, size, count;
        uint64_t hash;
    };
    const uint8_t* text;
    std::vector<Piece> pieces;
    std::vector<uint32_t> slots = std::vector<uint32_t>(1 << 16);  // open addressing: 1 + index of a piece

    void grow() {
        slots.assign(slots.size() * 2, 0);
        for (size_t i = 0; i < pieces.size(); ++i) {
            size_t slot = pieces[i].hash & (slots.size() - 1);
            while (slots[slot]) slot = (slot + 1) & (slots.size() - 1);
            slots[slot] = static_cast<uint32_t>(i + 1);
        }
    }

    void add(int64_t start, int64_t size) {
        const uint64_t hash = hash_of(text + start, size);
        size_t slot = hash & (slots.size() - 1);
        for (; slots[slot]; slot = (slot + 1) & (slots.size() - 1)) {
            Piece& known = pieces[slots[slot] - 1];
            if (known.hash == hash && known.size == size && !std::memcmp(text + known.start, text + start, size)) {
                ++known.count;
                return;
            }
        }
        pieces.push_back({start, size, 1, hash});
        slots[slot] = static_cast<uint32_t>(pieces.size());
        if (pieces.size() * 2 > slots.size()) grow();
    }
};

// Pairs of symbols by how often they occur, and the one to merge next.
class Learner {
  public:
    // `symbols` are bytes in the order that decides between equally frequent pairs, a piece after the other.
    Learner(const uint8_t* symbols, const int64_t* ends, const int64_t* counts, int64_t n_pieces) {
        const int64_t n_bytes = n_pieces ? ends[n_pieces - 1] : 0;
        symbol_.reserve(static_cast<size_t>(n_bytes + n_pieces + 1));
        symbol_.push_back(BREAK);
        for (int64_t piece = 0, at = 0; piece < n_pieces; ++piece) {
            first_.push_back(static_cast<uint32_t>(symbol_.size()));
            for (; at < ends[piece]; ++at) symbol_.push_back(symbols[at]);
            symbol_.push_back(BREAK);
        }
        size_.assign(symbol_.size(), 1);
        counts_.assign(counts, counts + n_pieces);
        for (int byte = 0; byte < 256; ++byte) id_of(std::string(1, static_cast<char>(byte)));
        find_pairs();
    }

    // Up to `wanted` merges more, two ids each; how many there were.
    int64_t learn(int64_t wanted, int32_t* merges) {
        int64_t done = 0;
        while (done < wanted && !queue_.empty()) {
            const auto [count, key] = queue_.top();
            queue_.pop();
            const auto found = pairs_.find(key);
            const int64_t now = found == pairs_.end() ? 0 : found->second.count;
            if (now < count) {  // an old figure: it has sunk since
                if (now >= 2) queue_.push({now, key});
                continue;
            }
            if (now > count) continue;  // it has risen since, and was queued again then
            if (now < 2) break;
            merges[2 * done] = static_cast<int32_t>(key >> 32);
            merges[2 * done + 1] = static_cast<int32_t>(key & 0xFFFFFFFFu);
            ++done;
            merge(key, std::move(found->second.places));
        }
        return done;
    }

  private:
    static constexpr int32_t BREAK = -1;  // between pieces
    static constexpr int32_t INSIDE = -2;  // where a longer symbol reaches over

    struct Pair {
        int64_t count = 0;
        std::vector<uint32_t> places;  // where it was seen; some are out of date
    };
    struct Best {
        int64_t count;
        uint64_t key;
        bool operator<(const Best& other) const {  // of equal counts, the older symbols come first
            return count != other.count ? count < other.count : key > other.key;
        }
    };
    struct Mixed {
        size_t operator()(uint64_t key) const { return (key ^ key >> 29) * 0x9E3779B97F4A7C15u >> 17; }
    };

    static uint64_t key_of(int32_t left, int32_t right) {
        return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    }

    int32_t id_of(const std::string& bytes) {
        const auto [found, is_new] = ids_.try_emplace(bytes, static_cast<int32_t>(ids_.size()));
        if (is_new) bytes_.push_back(bytes);
        return found->second;
    }

    void find_pairs() {
        std::vector<size_t> room(1 << 16);
        std::vector<Pair> found(1 << 16);
        const auto each = [&](const auto& act) {
            for (size_t piece = 0; piece < first_.size(); ++piece)
                for (uint32_t at = first_[piece]; symbol_[at + 1] != BREAK; ++at)
                    act(static_cast<size_t>(symbol_[at] << 8 | symbol_[at + 1]), at, counts_[piece]);
        };
        each([&](size_t pair, uint32_t, int64_t) { ++room[pair]; });
        for (size_t pair = 0; pair < room.size(); ++pair) found[pair].places.reserve(room[pair]);
        each([&](size_t pair, uint32_t at, int64_t count) {
            found[pair].count += count;
            found[pair].places.push_back(at);
        });
        for (size_t pair = 0; pair < found.size(); ++pair) {
            if (found[pair].places.empty()) continue;
            const uint64_t key = key_of(static_cast<int32_t>(pair >> 8), static_cast<int32_t>(pair & 255));
            queue_.push({found[pair].count, key});
            pairs_.emplace(key, std::move(found[pair]));
        }
    }

    // What stands on one side of the merged pairs: by its id, how often, and where the new pair begins.
    struct Neighbours {
        std::vector<uint32_t> slot;  // by id: 1 + index into the others
        std::vector<int32_t> ids;
        std::vector<Pair> pairs;

        void add(int32_t id, uint32_t place, int64_t count) {
            uint32_t& known = slot[static_cast<size_t>(id)];
            if (!known) {
                ids.push_back(id);
                pairs.emplace_back();
                known = static_cast<uint32_t>(ids.size());
            }
            pairs[known - 1].count += count;
            pairs[known - 1].places.push_back(place);
        }

        void clear() {
            for (const int32_t id : ids) slot[static_cast<size_t>(id)] = 0;
            ids.clear();
            pairs.clear();
        }
    };

    void merge(uint64_t key, std::vector<uint32_t> places) {
        const int32_t left = static_cast<int32_t>(key >> 32), right = static_cast<int32_t>(key & 0xFFFFFFFFu);
        const int32_t made = id_of(bytes_[static_cast<size_t>(left)] + bytes_[static_cast<size_t>(right)]);
        pairs_.erase(key);
        before_.slot.resize(ids_.size());
        after_.slot.resize(ids_.size());
        join(left, right, made, std::move(places));
        for (size_t i = 0; i < before_.ids.size(); ++i) rise(key_of(before_.ids[i], made), before_.pairs[i]);
        for (size_t i = 0; i < after_.ids.size(); ++i) rise(key_of(made, after_.ids[i]), after_.pairs[i]);
        for (size_t i = 0; i < before_.ids.size(); ++i) sink(key_of(before_.ids[i], left), before_.pairs[i].count);
        for (size_t i = 0; i < after_.ids.size(); ++i) sink(key_of(right, after_.ids[i]), after_.pairs[i].count);
        before_.clear();
        after_.clear();
    }

    void join(int32_t left, int32_t right, int32_t made, std::vector<uint32_t> places) {
        std::sort(places.begin(), places.end());  // runs of one symbol are merged from their left
        size_t piece = 0;
        for (const uint32_t at : places) {
            if (symbol_[at] != left) continue;
            const uint32_t second = at + size_[at], after = second + size_[second];
            if (symbol_[second] != right) continue;
            piece = piece_at(at, piece);
            const uint32_t before = at - size_[at - 1];
            symbol_[at] = made;
            symbol_[second] = INSIDE;
            size_[at] = size_[after - 1] = static_cast<uint16_t>(after - at);  // read from either end
            if (symbol_[before] != BREAK) before_.add(symbol_[before], before, counts_[piece]);
            if (symbol_[after] != BREAK) after_.add(symbol_[after], at, counts_[piece]);
        }
    }

    size_t piece_at(uint32_t place, size_t from) const {  // a later one than `from` or the same, and seldom far
        size_t step = 1;
        while (from + step < first_.size() && first_[from + step] <= place) step *= 2;
        const auto begin = first_.begin() + static_cast<int64_t>(from + step / 2);
        const auto end = first_.begin() + static_cast<int64_t>(std::min(from + step, first_.size()));
        return static_cast<size_t>(std::upper_bound(begin, end, place) - first_.begin()) - 1;
    }

    void rise(uint64_t key, Pair& found) {
        Pair& pair = pairs_[key];
        pair.count += found.count;
        if (pair.places.empty()) pair.places = std::move(found.places);
        else pair.places.insert(pair.places.end(), found.places.begin(), found.places.end());
        if (pair.count >= 2) queue_.push({pair.count, key});
    }

    void sink(uint64_t key, int64_t count) {
        const auto found = pairs_.find(key);
        if (found != pairs_.end() && (found->second.count -= count) <= 0) pairs_.erase(found);
    }

    std::vector<int32_t> symbol_;   // an id at the first byte of each symbol
    std::vector<uint16_t> size_;    // its bytes, at its first and its last byte
    std::vector<uint32_t> first_;   // where each piece begins
    std::vector<int64_t> counts_;   // how often it occurs
    std::vector<std::string> bytes_;
    std::unordered_map<std::string, int32_t> ids_;
    std::unordered_map<uint64_t, Pair, Mixed> pairs_;
    std::priority_queue<Best> queue_;
    Neighbours before_, after_;
};

}  // namespace

extern "C" {

// Count the pieces of texts that lie one after the other, each piece of at most `longest` bytes or cut into such;
// give the result to `bpe_counted`, which frees it.
void* bpe_count(const uint8_t* text, const int64_t* text_ends, int64_t n_texts, const uint8_t* kinds, int64_t longest,
                int64_t* n_pieces, int64_t* n_bytes) {
    auto* counts = new Counts{text, {}};
    for (int64_t i = 0, at = 0; i < n_texts; ++i) {
        const Scanner scanner{text, text_ends[i], kinds};
        while (at < scanner.size) {
            const int64_t end = scanner.end(at);
            for (; at < end; at = std::min(at + longest, end)) counts->add(at, std::min(longest, end - at));
        }
    }
    *n_pieces = static_cast<int64_t>(counts->pieces.size());
    *n_bytes = 0;
    for (const auto& piece : counts->pieces) *n_bytes += piece.size;
    return counts;
}

void bpe_counted(void* handle, uint8_t* bytes, int64_t* ends, int64_t* counts) {
    auto* found = static_cast<Counts*>(handle);
    int64_t at = 0;
    for (size_t i = 0; i < found->pieces.size(); ++i) {
        const auto& piece = found->pieces[i];
        std::memcpy(bytes + at, found->text + piece.start, static_cast<size_t>(piece.size));
        ends[i] = at += piece.size;
        counts[i] = piece.count;
    }
    delete found;
}

void* bpe_learner(const uint8_t* symbols, const int64_t* ends, const int64_t* counts, int64_t n_pieces) {
    return new Learner(symbols, ends, counts, n_pieces);
}

int64_t bpe_learn(void* learner, int64_t wanted, int32_t* merges) {
    return static_cast<Learner*>(learner)->learn(wanted, merges);
}

void bpe_free(void* learner) { delete static_cast<Learner*>(learner); }

}
