// Ids that are texts: tables of UTF-8 texts, the distinct texts of a column with a code per entry, and the way from a
// text to its position in a table.
//
// A column of n texts is its distinct texts, ascending by code point, and an int32 per entry. Results depend neither on
// the number of threads nor on the order in which threads meet the texts: the distinct ones are sorted. Memory beside
// the result: 16 to 48 bytes per distinct text, and its bytes, for every thread that meets it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/mix64.h"

namespace fastcf {

// Texts end to end: the i-th is bytes[offsets[i], offsets[i + 1]).
struct TextsView {
    const char* bytes = nullptr;
    const std::int64_t* offsets = nullptr;
    std::int64_t size = 0;

    std::string_view operator[](std::int64_t i) const {
        return {bytes + offsets[i], static_cast<std::size_t>(offsets[i + 1] - offsets[i])};
    }
};

struct TextTable {
    std::vector<char> bytes;
    std::vector<std::int64_t> offsets = {0};

    TextsView view() const { return {bytes.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1}; }
    void push_back(std::string_view text) {
        bytes.insert(bytes.end(), text.begin(), text.end());
        offsets.push_back(static_cast<std::int64_t>(bytes.size()));
    }
};

// Whether two texts of n bytes are the same: short ones without a call; words overlap at the end.
inline bool same_bytes(const char* a, const char* b, std::size_t n) {
    const auto differ = [](const char* p, const char* q, auto word) {
        auto other = word;
        std::memcpy(&word, p, sizeof word);
        std::memcpy(&other, q, sizeof other);
        return word ^ other;
    };
    if (n > 32) return std::memcmp(a, b, n) == 0;
    if (n >= 8) {
        constexpr std::uint64_t kWord = 0;
        std::uint64_t different = differ(a + n - 8, b + n - 8, kWord);
        for (std::size_t i = 0; i + 8 < n; i += 8) different |= differ(a + i, b + i, kWord);
        return different == 0;
    }
    if (n >= 4) {
        constexpr std::uint32_t kWord = 0;
        return (differ(a, b, kWord) | differ(a + n - 4, b + n - 4, kWord)) == 0;
    }
    for (std::size_t i = 0; i < n; ++i)
        if (a[i] != b[i]) return false;
    return true;
}

// Every bit of every byte counts; words overlap at the end, so that nothing is read beyond it.
inline std::uint64_t hash_text(std::string_view text) {
    const auto load = [](const char* p, std::size_t n) {
        std::uint64_t word = 0;
        std::memcpy(&word, p, n);
        return word;
    };
    const char* p = text.data();
    const std::size_t n = text.size();
    std::uint64_t hash = n;
    const auto add = [&](std::uint64_t word) {
        hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
        hash ^= hash >> 32;
    };
    if (n >= 8) {
        for (std::size_t i = 0; i + 8 < n; i += 8) add(load(p + i, 8));
        add(load(p + n - 8, 8));
    } else if (n >= 4) {
        add(load(p, 4) | load(p + n - 4, 4) << 32);
    } else if (n > 0) {
        add(load(p, 1) | load(p + n / 2, 1) << 8 | load(p + n - 1, 1) << 16);
    }
    return mix64(hash);
}

// A hash table from texts to int32 positions; the texts themselves are kept outside, by the table's owner. A slot says
// where its text begins and how long it is (up to 254 bytes), so that a look-up takes two memory accesses: the slot and
// the text.
class TextSlots {
  public:
    explicit TextSlots(std::int64_t n_expected = 0);

    // The position of a text, -1 where it is absent.
    std::int32_t find(std::string_view text, std::uint64_t hash, const TextsView& texts) const {
        const Slot* slot = slots_.data() + (hash & mask_);
        const std::uint32_t tag = tag_of(hash, text.size());
        for (; slot->position >= 0; slot = next(slot)) {
            if (slot->tag != tag) continue;
            if ((text.size() < kLong || texts[slot->position].size() == text.size()) &&
                same_bytes(texts.bytes + slot->offset, text.data(), text.size()))
                return slot->position;
        }
        return -1;
    }

    // Adds texts[position], which is absent.
    void insert(std::uint64_t hash, std::int32_t position, const TextsView& texts);

    // What a later find will read: the slot first, then, when that is there, the text.
    void prefetch(std::uint64_t hash) const { __builtin_prefetch(slots_.data() + (hash & mask_)); }
    void prefetch_text(std::uint64_t hash, const TextsView& texts) const {
        const Slot& slot = slots_[hash & mask_];
        if (slot.position >= 0) __builtin_prefetch(texts.bytes + slot.offset);
    }

  private:
    static constexpr std::size_t kLong = 255;

    struct Slot {
        std::uint32_t tag = 0;  // 24 bits of the hash, and the length
        std::int32_t position = -1;
        std::int64_t offset = 0;
    };

    static std::uint32_t tag_of(std::uint64_t hash, std::size_t length) {
        return static_cast<std::uint32_t>(hash >> 40) << 8 |
               static_cast<std::uint32_t>(length < kLong ? length : kLong);
    }
    const Slot* next(const Slot* slot) const { return ++slot == slots_.data() + slots_.size() ? slots_.data() : slot; }

    std::vector<Slot> slots_;
    std::uint64_t mask_ = 0;
    std::int64_t count_ = 0;
};

// Distinct texts, numbered in the order in which they were first met.
class TextDictionary {
  public:
    TextsView texts() const { return texts_.view(); }
    const TextTable& table() const { return texts_; }
    std::int64_t size() const { return texts_.view().size; }
    const TextSlots& slots() const { return slots_; }

    std::int32_t find(std::string_view text, std::uint64_t hash) const { return slots_.find(text, hash, texts()); }
    // Adds a text that is absent; throws where there are too many.
    std::int32_t insert(std::string_view text, std::uint64_t hash);
    std::int32_t code(std::string_view text, std::uint64_t hash) {
        const std::int32_t found = find(text, hash);
        return found >= 0 ? found : insert(text, hash);
    }
    std::int32_t code(std::string_view text) { return code(text, hash_text(text)); }
    void code_all(const std::string_view* texts, std::int64_t n, std::int32_t* codes);

  private:
    TextSlots slots_;
    TextTable texts_;
};

// The union of several tables, ascending, and where each of their texts is in it.
struct UnitedTexts {
    TextTable texts;
    std::vector<std::vector<std::int32_t>> positions;
};
UnitedTexts unite_texts(const std::vector<TextsView>& tables, int n_threads);
UnitedTexts unite_texts(std::vector<TextDictionary>&& dictionaries, int n_threads);

// A column of texts as NumPy holds it: `width` UCS4 units each, padded with zeros at the end, `stride` units apart.
struct TextColumn {
    const char32_t* characters = nullptr;
    std::int64_t size = 0;
    std::int64_t width = 0;
    std::int64_t stride = 0;
};

// The distinct texts of a column, ascending, and the code of each entry. Throws where an entry is no Unicode text: the
// first such entry is named.
TextTable encode_texts(const TextColumn& column, int n_threads, std::int32_t* codes);

// Appends one text of UCS1, UCS2 or UCS4 units as UTF-8; false where it is no Unicode text (surrogates).
template <class Unit>
bool append_utf8(const Unit* units, std::int64_t n, std::vector<char>& out) {
    for (std::int64_t i = 0; i < n; ++i) {
        const auto c = static_cast<char32_t>(units[i]);
        if (c < 0x80) {
            out.push_back(static_cast<char>(c));
            continue;
        }
        if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
        const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
        out.push_back(static_cast<char>(kLead[more] | (c >> (6 * more))));
        for (int k = more - 1; k >= 0; --k) out.push_back(static_cast<char>(0x80 | ((c >> (6 * k)) & 0x3F)));
    }
    return true;
}

// Whether bytes are UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text);

// Throws unless offsets ascend from 0 to `n_bytes`; unless every text is UTF-8. `caller` heads the messages.
void check_offsets(const TextsView& texts, std::int64_t n_bytes, const char* caller);
void check_utf8(const TextsView& texts, const char* caller);

// An integer as Python writes it: an optional minus, no plus, no leading zero, never "-0"; of any size.
inline bool is_integer_text(std::string_view text) {
    const std::size_t sign = text.size() > 1 && text[0] == '-' ? 1 : 0;
    if (text.size() == sign || (text[sign] == '0' && text.size() > 1)) return false;
    for (std::size_t i = sign; i < text.size(); ++i)
        if (static_cast<unsigned char>(text[i] - '0') > 9) return false;
    return true;
}

// Looks up the position of a text in a table of distinct ones, which must outlive it.
class TextIndex {
  public:
    // Throws when two texts are equal.
    explicit TextIndex(const TextsView& texts);

    std::int64_t size() const { return texts_.size; }

    // Writes the position of each text, -1 where it is absent.
    void encode(const TextsView& texts, std::int32_t* out, int n_threads) const;

  private:
    TextsView texts_;
    TextSlots slots_;
};

// The same for texts that ascend strictly, by halving, in log2(size) comparisons: nothing is built beside the table,
// which may lie in a mapped file.
class AscendingTexts {
  public:
    explicit AscendingTexts(const TextsView& texts);

    std::int64_t size() const { return texts_.size; }
    bool ascending() const { return ascending_; }  // whether they do; else they are not to be looked up here

    void encode(const TextsView& texts, std::int32_t* out, int n_threads) const;

  private:
    TextsView texts_;
    bool ascending_ = true;
};

}  // namespace fastcf
