// Cost: a load and a store of a sum for each entry added, in places that the entries name: no vector instruction helps,
// and the store port bounds it. The scan reads 8 bytes, divides and compares per column; few columns pass.
#include "cpu/cooccurrence_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

void add(float* sums, const int32_t* indices, const float* values, int64_t n, float weight) {
    int64_t e = 0;
    if (values == nullptr) {
        for (; e + 4 <= n; e += 4) {
            // All four are read before one is written: they are distinct, which the compiler cannot know.
            const int32_t i0 = indices[e], i1 = indices[e + 1], i2 = indices[e + 2], i3 = indices[e + 3];
            const float s0 = sums[i0] + weight, s1 = sums[i1] + weight;
            const float s2 = sums[i2] + weight, s3 = sums[i3] + weight;
            sums[i0] = s0, sums[i1] = s1, sums[i2] = s2, sums[i3] = s3;
        }
        for (; e < n; ++e) sums[indices[e]] += weight;
        return;
    }
    for (; e + 4 <= n; e += 4) {
        const int32_t i0 = indices[e], i1 = indices[e + 1], i2 = indices[e + 2], i3 = indices[e + 3];
        const float s0 = sums[i0] + weight * values[e], s1 = sums[i1] + weight * values[e + 1];
        const float s2 = sums[i2] + weight * values[e + 2], s3 = sums[i3] + weight * values[e + 3];
        sums[i0] = s0, sums[i1] = s1, sums[i2] = s2, sums[i3] = s3;
    }
    for (; e < n; ++e) sums[indices[e]] += weight * values[e];
}

struct Denominator {
    Vec row, shrinkage;
    FASTCF_METHOD explicit Denominator(const CooccurrenceScale& scale)
        : row(broadcast(scale.row)), shrinkage(broadcast(scale.shrinkage)) {}
    FASTCF_METHOD Vec operator()(Vec column) const { return fma(row, column, shrinkage); }
};

int64_t scan(float* sums, int64_t begin, int64_t end, const CooccurrenceScale& scale, float floor, int32_t* columns,
             float* similarities) {
    const Denominator denominator(scale);
    const Vec limit = broadcast(floor), zero = broadcast(0.0f);
    int64_t found = 0;
    for (int64_t first = begin; first < end; first += kLanes) {
        const int count = end - first < kLanes ? static_cast<int>(end - first) : kLanes;
        Vec sum, column = broadcast(1.0f);
        if (count == kLanes) {
            sum = load(sums + first);
            if (scale.columns != nullptr) column = load(scale.columns + first);
            store(sums + first, zero);
        } else {
            sum = load_first(sums + first, count);
            if (scale.columns != nullptr) column = load_first(scale.columns + first, count);
            store_first(sums + first, zero, count);
        }
        const Vec similarity = sum / denominator(column);
        uint32_t above = bits(not_le(similarity, limit));
        if (above == 0) continue;
        float held[kLanes];
        store(held, similarity);
        for (; above != 0; above &= above - 1) {
            const int lane = __builtin_ctz(above);
            if (lane >= count || !(held[lane] > floor)) continue;  // past the end, or NaN
            columns[found] = static_cast<int32_t>(first + lane);
            similarities[found++] = held[lane];
        }
    }
    return found;
}

int64_t pick(float* sums, const int32_t* indices, int64_t n, const CooccurrenceScale& scale, float floor,
             int32_t* columns, float* similarities) {
    const Denominator denominator(scale);
    int64_t found = 0;
    for (int64_t e = 0; e < n; ++e) {
        const int32_t j = indices[e];
        const float sum = sums[j];
        if (sum == 0.0f) continue;  // found before, or nothing to find
        sums[j] = 0.0f;
        const Vec column = broadcast(scale.columns == nullptr ? 1.0f : scale.columns[j]);
        const float similarity = (broadcast(sum) / denominator(column))[0];  // rounded as the scan does
        if (!(similarity > floor)) continue;
        columns[found] = j;
        similarities[found++] = similarity;
    }
    return found;
}

}  // namespace

extern const CooccurrenceKernels cooccurrence_kernels;
const CooccurrenceKernels cooccurrence_kernels = {add, scan, pick};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
