#include "ingest/text_ids.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "core/parallel_sort.h"
#include "ingest/ids.h"

namespace fastcf {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // texts per task
constexpr std::int64_t kAhead = 32;  // texts hashed before the first is looked up, so that their slots are on the way

// Ascending order of distinct texts: compared by their first eight bytes behind what all have in common.
std::vector<std::int32_t> ascending(const TextsView& texts, int n_threads) {
    struct Key {
        std::uint64_t start;
        std::int32_t position;
    };
    std::size_t common = texts.size > 0 ? texts[0].size() : 0;
    for (std::int64_t i = 1; i < texts.size && common > 0; ++i) {
        std::size_t same = 0;
        const std::size_t most = std::min(common, texts[i].size());
        while (same < most && texts[0][same] == texts[i][same]) ++same;
        common = same;
    }
    std::vector<Key> keys(static_cast<std::size_t>(texts.size));
    parallel_chunks(texts.size, kGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::string_view rest = texts[i].substr(common);
            std::uint64_t start = 0;
            for (std::size_t k = 0; k < 8; ++k)
                start = start << 8 | (k < rest.size() ? static_cast<unsigned char>(rest[k]) : 0U);
            keys[static_cast<std::size_t>(i)] = {start, static_cast<std::int32_t>(i)};
        }
    });
    parallel_sort(keys, n_threads, [&](const Key& a, const Key& b) {
        if (a.start != b.start) return a.start < b.start;
        return texts[a.position] < texts[b.position];  // char_traits<char> compares as unsigned
    });
    std::vector<std::int32_t> order(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) order[i] = keys[i].position;
    return order;
}

// Codes in order of appearance to positions in ascending order.
UnitedTexts sorted(const TextDictionary& all, std::vector<std::vector<std::int32_t>>&& codes, int n_threads) {
    const TextsView texts = all.texts();
    const std::vector<std::int32_t> order = ascending(texts, n_threads);
    std::vector<std::int32_t> rank(order.size());
    UnitedTexts result;
    result.texts.bytes.reserve(static_cast<std::size_t>(texts.offsets[texts.size]));
    result.texts.offsets.reserve(order.size() + 1);
    for (std::size_t i = 0; i < order.size(); ++i) {
        result.texts.push_back(texts[order[i]]);
        rank[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i);
    }
    for (auto& part : codes)
        for (std::int32_t& code : part) code = rank[static_cast<std::size_t>(code)];
    result.positions = std::move(codes);
    return result;
}

std::vector<std::int32_t> add_all(const TextsView& texts, TextDictionary& all) {
    std::vector<std::int32_t> codes(static_cast<std::size_t>(texts.size));
    for (std::int64_t i = 0; i < texts.size; ++i) codes[static_cast<std::size_t>(i)] = all.code(texts[i]);
    return codes;
}

}  // namespace

TextSlots::TextSlots(std::int64_t n_expected)
    : slots_(std::bit_ceil(static_cast<std::size_t>(std::max<std::int64_t>(n_expected, 16)) * 2)),
      mask_(slots_.size() - 1) {}

void TextSlots::insert(std::uint64_t hash, std::int32_t position, const TextsView& texts) {
    const auto put = [&](std::uint64_t own_hash, const Slot& slot) {
        std::uint64_t at = own_hash & mask_;
        while (slots_[at].position >= 0) at = (at + 1) & mask_;
        slots_[at] = slot;
    };
    if (static_cast<std::size_t>(++count_) * 2 > slots_.size()) {
        const std::vector<Slot> smaller = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
        mask_ = slots_.size() - 1;
        for (const Slot& slot : smaller)
            if (slot.position >= 0) put(hash_text(texts[slot.position]), slot);
    }
    put(hash, Slot{tag_of(hash, texts[position].size()), position, texts.offsets[position]});
}

std::int32_t TextDictionary::insert(std::string_view text, std::uint64_t hash) {
    const std::int64_t position = size();
    check(position < kMaxDistinctIds, "there must be at most ", kMaxDistinctIds, " distinct ids; got more");
    texts_.push_back(text);
    slots_.insert(hash, static_cast<std::int32_t>(position), texts());
    return static_cast<std::int32_t>(position);
}

void TextDictionary::code_all(const std::string_view* texts, std::int64_t n, std::int32_t* codes) {
    std::uint64_t hashes[kAhead];
    for (std::int64_t begin = 0; begin < n; begin += kAhead) {
        const std::int64_t count = std::min(kAhead, n - begin);
        for (std::int64_t i = 0; i < count; ++i) {
            hashes[i] = hash_text(texts[begin + i]);
            slots_.prefetch(hashes[i]);
        }
        for (std::int64_t i = 0; i < count; ++i) codes[begin + i] = code(texts[begin + i], hashes[i]);
    }
}

UnitedTexts unite_texts(const std::vector<TextsView>& tables, int n_threads) {
    TextDictionary all;
    std::vector<std::vector<std::int32_t>> codes;
    for (const TextsView& table : tables) codes.push_back(add_all(table, all));
    return sorted(all, std::move(codes), n_threads);
}

UnitedTexts unite_texts(std::vector<TextDictionary>&& dictionaries, int n_threads) {
    TextDictionary all;
    std::vector<std::vector<std::int32_t>> codes;
    for (TextDictionary& dictionary : dictionaries) {
        if (all.size() == 0) {
            all = std::move(dictionary);
            codes.emplace_back(static_cast<std::size_t>(all.size()));
            for (std::size_t i = 0; i < codes.back().size(); ++i) codes.back()[i] = static_cast<std::int32_t>(i);
        } else {
            codes.push_back(add_all(dictionary.texts(), all));
        }
        dictionary = TextDictionary();
    }
    return sorted(all, std::move(codes), n_threads);
}

TextTable encode_texts(const TextColumn& column, int n_threads, std::int32_t* codes) {
    n_threads = threads_for(column.size, n_threads);
    std::vector<TextDictionary> dictionaries(static_cast<std::size_t>(n_threads));
    std::vector<int> owners(static_cast<std::size_t>((column.size + kGrain - 1) / kGrain));
    std::atomic<std::int64_t> bad{column.size};
    parallel_chunks(column.size, kGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        TextDictionary& mine = dictionaries[static_cast<std::size_t>(thread)];
        owners[static_cast<std::size_t>(begin / kGrain)] = thread;
        std::vector<char> text;
        for (std::int64_t i = begin; i < end; ++i) {
            const char32_t* const units = column.characters + i * column.stride;
            std::int64_t n = column.width;
            while (n > 0 && units[n - 1] == 0) --n;
            text.clear();
            if (!append_utf8(units, n, text)) {
                std::int64_t first = bad.load();
                while (i < first && !bad.compare_exchange_weak(first, i)) {
                }
                return;
            }
            codes[i] = mine.code({text.data(), text.size()});
        }
    });
    check(bad.load() == column.size, "must be Unicode text; got a lone surrogate at entry ", bad.load());
    const UnitedTexts united = unite_texts(std::move(dictionaries), n_threads);
    parallel_chunks(column.size, kGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        const auto& ranks =
            united.positions[static_cast<std::size_t>(owners[static_cast<std::size_t>(begin / kGrain)])];
        for (std::int64_t i = begin; i < end; ++i) codes[i] = ranks[static_cast<std::size_t>(codes[i])];
    });
    return united.texts;
}

bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i++]);
        if (byte < 0x80) continue;
        const int more = byte >= 0xC2 && byte <= 0xDF   ? 1
                         : (byte & 0xF0) == 0xE0        ? 2
                         : byte >= 0xF0 && byte <= 0xF4 ? 3
                                                        : 0;
        if (more == 0 || text.size() - i < static_cast<std::size_t>(more)) return false;
        char32_t c = byte & (0x3FU >> more);
        for (int k = 0; k < more; ++k) {
            const auto next = static_cast<unsigned char>(text[i++]);
            if ((next & 0xC0) != 0x80) return false;
            c = c << 6 | (next & 0x3FU);
        }
        if ((more == 2 && c < 0x800) || (more == 3 && c < 0x10000) || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
            return false;
    }
    return true;
}

void check_offsets(const TextsView& texts, std::int64_t n_bytes, const char* caller) {
    check(texts.offsets[0] == 0 && texts.offsets[texts.size] == n_bytes, caller, ": offsets must lead from 0 to ",
          n_bytes, ", the number of bytes; got ", texts.offsets[0], " to ", texts.offsets[texts.size]);
    for (std::int64_t i = 0; i < texts.size; ++i)
        check(texts.offsets[i] <= texts.offsets[i + 1], caller, ": offsets must ascend; got ", texts.offsets[i + 1],
              " after ", texts.offsets[i]);
}

void check_utf8(const TextsView& texts, const char* caller) {
    for (std::int64_t i = 0; i < texts.size; ++i)
        check(is_utf8(texts[i]), caller, ": texts must be UTF-8; entry ", i, " is not");
}

TextIndex::TextIndex(const TextsView& texts) : texts_(texts), slots_(texts.size) {
    check(texts.size <= kMaxDistinctIds, "there must be at most ", kMaxDistinctIds, " distinct ids; got ", texts.size);
    for (std::int64_t i = 0; i < texts.size; ++i) {
        const std::uint64_t hash = hash_text(texts[i]);
        const std::int32_t found = slots_.find(texts[i], hash, texts_);
        check(found < 0, "ids must be distinct; got '", texts[i], "' at positions ", found, " and ", i);
        slots_.insert(hash, static_cast<std::int32_t>(i), texts_);
    }
}

void TextIndex::encode(const TextsView& texts, std::int32_t* out, int n_threads) const {
    parallel_chunks(texts.size, kGrain, threads_for(texts.size, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        std::uint64_t hashes[kAhead];
                        for (; begin < end; begin += kAhead) {
                            const std::int64_t n = std::min<std::int64_t>(kAhead, end - begin);
                            for (std::int64_t i = 0; i < n; ++i) {
                                hashes[i] = hash_text(texts[begin + i]);
                                slots_.prefetch(hashes[i]);
                            }
                            for (std::int64_t i = 0; i < n; ++i)
                                out[begin + i] = slots_.find(texts[begin + i], hashes[i], texts_);
                        }
                    });
}

AscendingTexts::AscendingTexts(const TextsView& texts) : texts_(texts) {
    check(texts.size <= kMaxDistinctIds, "there must be at most ", kMaxDistinctIds, " distinct ids; got ", texts.size);
    for (std::int64_t i = 1; i < texts.size && ascending_; ++i) ascending_ = texts[i - 1] < texts[i];
}

void AscendingTexts::encode(const TextsView& texts, std::int32_t* out, int n_threads) const {
    check(ascending_, "AscendingTexts.encode: the texts of the table must ascend");
    parallel_chunks(texts.size, kGrain, threads_for(texts.size, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t i = begin; i < end; ++i) {
                            std::int64_t low = 0, high = texts_.size;
                            while (low < high) {
                                const std::int64_t middle = low + (high - low) / 2;
                                if (texts_[middle] < texts[i])
                                    low = middle + 1;
                                else
                                    high = middle;
                            }
                            const bool found = low < texts_.size && texts_[low] == texts[i];
                            out[i] = found ? static_cast<std::int32_t>(low) : -1;
                        }
                    });
}

}  // namespace fastcf
