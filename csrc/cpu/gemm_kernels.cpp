// A tile of C, kTileRows x kTileVecs vectors, stays in registers while the inner dimension passes: per step it loads
// kTileVecs vectors of a panel of B and kTileRows numbers of a strip of A. Blocks of op(A) are copied strip by strip
// into the second-level cache; panels of op(B) are copied just before their use, into the first-level cache, and meet
// every strip of the block there. Copying is what transposes.
//
// Why not BLAS alone: on an AMD EPYC of family 26 the OpenBLAS of SciPy 1.17 takes its kernels for Haswell. For layers
// of 128 to 1,024 units and batches of 32 and 128, on one thread, this makes 179 to 232 GFLOP/s, they 73 to 104: 2.1
// to 2.6 times as much for every shape (bench/bench_gemm.py).
#include "cpu/gemm_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)  // 24 of 32 registers hold the tile
constexpr int kTileRows = 12, kTileVecs = 2;
#elif defined(__AVX2__)  // 12 of 16
constexpr int kTileRows = 6, kTileVecs = 2;
#else                    // 8 of 16
constexpr int kTileRows = 4, kTileVecs = 2;
#endif
static_assert(kTileRows <= kLanes, "a strip of A is copied a vector of rows at a time");
constexpr int64_t kTileCols = kTileVecs * kLanes;
constexpr int64_t kBlockRows = 256;   // of a block of op(A): with kBlockDepth 256 KiB, a part of the second-level cache
constexpr int64_t kBlockDepth = 256;  // of a panel of op(B): 32 KiB at AVX-512, the first-level cache

int64_t at_most(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// How many pieces of at most `most` elements cover `size`, and where piece i of so many, as equal as can be, begins.
int64_t pieces_of(int64_t size, int64_t most) {
    return size <= most ? 1 : (size + most - 1) / most;
}
int64_t piece_begin(int64_t size, int64_t pieces, int64_t i) {
    return size / pieces * i + at_most(i, size % pieces);
}

// ---------------------------------------------------------------------------------------------------------------
// Copies: out[p][i] = x(i, p) for `count` numbers i and `depth` steps p, `pitch` floats from step to step. Lanes after
// `count` are written, too, up to the pitch or the next step's.
// ---------------------------------------------------------------------------------------------------------------

// x(i, p) = x[i * stride + p] for at most kLanes rows i.
void copy_transposing(const float* x, int64_t stride, int64_t count, int64_t depth, float* out, int64_t pitch) {
    const float* rows[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) rows[i] = x + at_most(i, count - 1) * stride;
    int64_t p = 0;
    for (; p + 4 <= depth; p += 4) {
        Vec columns[4];
        load_columns4(rows, p, columns);
        for (int j = 0; j < 4; ++j) store(out + (p + j) * pitch, columns[j]);
    }
    const int64_t lanes = at_most(kLanes, pitch);
    for (; p < depth; ++p)
        for (int64_t i = 0; i < lanes; ++i) out[p * pitch + i] = rows[i][p];
}

// x(i, p) = x[p * stride + i].
void copy_straight(const float* x, int64_t stride, int64_t count, int64_t depth, float* out, int64_t pitch) {
    const int64_t whole = count / kLanes * kLanes;
    const int rest = static_cast<int>(count - whole);
    for (int64_t p = 0; p < depth; ++p) {
        for (int64_t i = 0; i < whole; i += kLanes) store(out + p * pitch + i, load(x + p * stride + i));
        if (rest > 0) store(out + p * pitch + whole, load_first(x + p * stride + whole, rest));
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Tiles
// ---------------------------------------------------------------------------------------------------------------

struct Scale {
    float alpha, beta;
};

// C <- alpha strip panel + beta C; the last vector of a row has `last` columns.
template <int Rows, int Vecs>
void tile(int64_t depth, const float* __restrict strip, const float* __restrict panel, int64_t pitch, Scale scale,
          float* __restrict c, int64_t c_stride, int last) {
    Vec sums[Rows][Vecs];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int v = 0; v < Vecs; ++v) sums[i][v] = broadcast(0);
    for (int64_t p = 0; p < depth; ++p) {
        Vec right[Vecs];
#pragma GCC unroll 16
        for (int v = 0; v < Vecs; ++v) right[v] = load(panel + v * kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const Vec left = broadcast(strip[i]);
#pragma GCC unroll 16
            for (int v = 0; v < Vecs; ++v) sums[i][v] = fma(left, right[v], sums[i][v]);
        }
        strip += Rows;
        panel += pitch;
    }
    const Vec alpha = broadcast(scale.alpha), beta = broadcast(scale.beta), zero = broadcast(0);
    const bool keeps = scale.beta != 0;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
        float* const row = c + i * c_stride;
#pragma GCC unroll 16
        for (int v = 0; v < Vecs; ++v) {
            float* const to = row + v * kLanes;
            if (v < Vecs - 1 || last == kLanes) {
                const Vec kept = keeps ? fma(beta, load(to), zero) : zero;
                store(to, fma(alpha, sums[i][v], kept));
            } else {
                const Vec kept = keeps ? fma(beta, load_first(to, last), zero) : zero;
                store_first(to, fma(alpha, sums[i][v], kept), last);
            }
        }
    }
}

using Tile = void (*)(int64_t, const float*, const float*, int64_t, Scale, float*, int64_t, int);

struct Tiles {
    Tile of[kTileRows][kTileVecs];
};

template <int Rows = kTileRows>
constexpr void fill(Tiles& tiles) {
    tiles.of[Rows - 1][0] = tile<Rows, 1>;
    tiles.of[Rows - 1][1] = tile<Rows, 2>;
    if constexpr (Rows > 1) fill<Rows - 1>(tiles);
}

constexpr Tiles all_tiles() {
    static_assert(kTileVecs == 2, "fill() knows two widths");
    Tiles tiles{};
    fill(tiles);
    return tiles;
}

constexpr Tiles kTiles = all_tiles();

// ---------------------------------------------------------------------------------------------------------------
// Blocks
// ---------------------------------------------------------------------------------------------------------------

constexpr int64_t kPanelSize = kTileCols * kBlockDepth;

int64_t workspace_size(const GemmPart& part) {
    return kPanelSize + at_most(part.m, kBlockRows) * at_most(part.k, kBlockDepth) + kLanes;
}

// Rows [first_row, first_row + rows) of C get what steps [first_step, first_step + depth) of the inner dimension add.
void block(const GemmPart& part, int64_t first_row, int64_t rows, int64_t first_step, int64_t depth, Scale scale,
           float* workspace) {
    float* const copied_panel = workspace;
    float* const strips = workspace + kPanelSize;
    const int64_t n_strips = pieces_of(rows, kTileRows);
    for (int64_t s = 0; s < n_strips; ++s) {
        const int64_t begin = piece_begin(rows, n_strips, s), count = piece_begin(rows, n_strips, s + 1) - begin;
        const int64_t row = first_row + begin;
        float* const strip = strips + begin * depth;
        if (part.transpose_a)
            copy_straight(part.a + first_step * part.a_stride + row, part.a_stride, count, depth, strip, count);
        else
            copy_transposing(part.a + row * part.a_stride + first_step, part.a_stride, count, depth, strip, count);
    }
    for (int64_t col = 0; col < part.n; col += kTileCols) {
        const int64_t cols = at_most(part.n - col, kTileCols);
        const float* panel = copied_panel;
        int64_t pitch = kTileCols;
        if (part.transpose_b) {
            for (int64_t i = 0; i < cols; i += kLanes)
                copy_transposing(part.b + (col + i) * part.b_stride + first_step, part.b_stride,
                                 at_most(cols - i, kLanes), depth, copied_panel + i, kTileCols);
        } else {
            const float* const from = part.b + first_step * part.b_stride + col;
            if (n_strips == 1 && cols == kTileCols) {  // used once: a copy would cost more than it saves
                panel = from;
                pitch = part.b_stride;
            } else {
                copy_straight(from, part.b_stride, cols, depth, copied_panel, kTileCols);
            }
        }
        const int64_t vecs = (cols + kLanes - 1) / kLanes;
        const int last = static_cast<int>(cols - (vecs - 1) * kLanes);
        for (int64_t s = 0; s < n_strips; ++s) {
            const int64_t begin = piece_begin(rows, n_strips, s), count = piece_begin(rows, n_strips, s + 1) - begin;
            kTiles.of[count - 1][vecs - 1](depth, strips + begin * depth, panel, pitch, scale,
                                           part.c + (first_row + begin) * part.c_stride + col, part.c_stride, last);
        }
    }
}

void product(const GemmPart& part, float* workspace) {
    if (part.m == 0 || part.n == 0) return;
    const int64_t k = part.alpha == 0 ? 0 : part.k;  // nothing of A and B is read, as in every BLAS
    const int64_t n_depths = pieces_of(k, kBlockDepth), n_rows = pieces_of(part.m, kBlockRows);
    for (int64_t d = 0; d < n_depths; ++d) {
        const int64_t step = piece_begin(k, n_depths, d), depth = piece_begin(k, n_depths, d + 1) - step;
        for (int64_t r = 0; r < n_rows; ++r) {
            const int64_t row = piece_begin(part.m, n_rows, r), rows = piece_begin(part.m, n_rows, r + 1) - row;
            block(part, row, rows, step, depth, {part.alpha, d == 0 ? part.beta : 1}, workspace);
        }
    }
}

}  // namespace

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels = {product, workspace_size, kTileCols};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
