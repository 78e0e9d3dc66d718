/* A residual layer around one or two LSTMs that sweep over a two-dimensional map: forward and backward.

   Layout. Every map is [rows, columns, images, features]: what one pixel needs lies together, so that each product is
   a small dense one, [images, in] x [in, out], with vectors along the features. The sweep goes in raster order, which
   respects every dependence on earlier pixels; no skewed copy is needed. Images are worked on in blocks that keep the
   numbers of a pixel in the first-level cache; different image ranges may run in different threads.

   Gates of a pixel lie side by side as input, output, candidate, then one forget gate for each earlier cell:

     (i, o, g, f_1 ..) = bias + [x taps, state taps] weight,   i, o, f through the logistic function, g through tanh
     cell  = i g + sum_k f_k cell_k,      state = o tanh(cell)
     y     = x + up_bias + (sum over directions of state, each moved down by its shift) up

   The second direction is the mirror image of the first. */

#include <stdlib.h>
#include <string.h>

#ifndef BLOCK
#define BLOCK 48 /* images at a time */
#endif
#define MAX_PARTS 64 /* taps of a layer; an 11x11 kernel has 61 */

typedef struct {
    long height, width, images, inputs, hidden, directions;
    long input_taps, state_taps, cell_taps;
    const long *offsets;   /* (rows, columns) to add, for the input taps, the state taps, the cell taps */
    const long *shift;     /* [directions]: rows by which a direction's map is moved down */
    const float *weight;   /* [directions, in, gates], in = input_taps * inputs + state_taps * hidden */
    const float *bias;     /* [directions, gates] */
    const float *up;       /* [hidden, inputs] */
    const float *up_bias;  /* [inputs] */
    const float *x;        /* [height, width, images, inputs] */
    float *y;              /* the same */
    float *state, *cell;   /* [directions, height, width, images, hidden] */
    float *gates;          /* [directions, height, width, images, gates], or null: not kept */
    const float *weight_t; /* [directions, gates, in]; from here on for backward only */
    const float *up_t;     /* [inputs, hidden] */
    const float *d_y;      /* like y */
    float *d_x;            /* like x */
} layer;

/* --- products of small matrices ----------------------------------------------------------------------------------- */

typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));
#define LANES 8

/* One factor of a product: depth rows of the right matrix meet a[m * row + k * step]. A null a is a tap outside the
   image: its rows are passed over. */
typedef struct {
    const float *a;
    long row, step, depth;
} part;

/* c[m][n] = start[m][n] + sum over parts and k of a[m][k] b[k][n] for `rows` x (LANES * vecs) numbers in registers. */
static inline __attribute__((always_inline)) void tile(const int rows, const int vecs, const part *parts, long count,
                                                       long m, const float *b, long ldb, const float *start,
                                                       long lds, float *c, long ldc) {
    vec sum[6][2];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vecs; j++) sum[i][j] = *(const vec *)(start + (m + i) * lds + j * LANES);
    for (long p = 0; p < count; p++) {
        const long depth = parts[p].depth, step = parts[p].step, row = parts[p].row;
        const float *a = parts[p].a;
        if (!a) {
            b += depth * ldb;
            continue;
        }
        a += m * row;
        for (long k = 0; k < depth; k++, a += step, b += ldb) {
            vec right[2];
#pragma GCC unroll 2
            for (int j = 0; j < vecs; j++) right[j] = *(const vec *)(b + j * LANES);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                const float l = a[i * row];
                const vec left = {l, l, l, l, l, l, l, l};
#pragma GCC unroll 2
                for (int j = 0; j < vecs; j++) sum[i][j] += left * right[j];
            }
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vecs; j++) *(vec *)(c + (m + i) * ldc + j * LANES) = sum[i][j];
}

/* The last columns, fewer than LANES. */
static void narrow(long m, long n, const part *parts, long count, const float *b, long ldb, const float *start,
                   long lds, float *c, long ldc) {
    float sum[LANES];
    for (long i = 0; i < m; i++) {
        const float *right = b;
        for (long j = 0; j < n; j++) sum[j] = start[i * lds + j];
        for (long p = 0; p < count; p++) {
            if (parts[p].a)
                for (long k = 0; k < parts[p].depth; k++) {
                    const float left = parts[p].a[i * parts[p].row + k * parts[p].step];
                    for (long j = 0; j < n; j++) sum[j] += left * right[k * ldb + j];
                }
            right += parts[p].depth * ldb;
        }
        for (long j = 0; j < n; j++) c[i * ldc + j] = sum[j];
    }
}

#define TILE(rows, vecs) \
    case rows: \
        tile(rows, vecs, parts, count, i, b, ldb, start, lds, c, ldc); \
        break;

#define TILES(vecs) \
    for (long i = 0, take; i < m; i += take) { \
        take = share(m - i); \
        switch (take) { TILE(1, vecs) TILE(2, vecs) TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs) } \
    }

/* How many rows next. Six fill the registers; a lone row or two at the end would wait for each sum, so fours come first. */
static inline long share(long left) { return left <= 6 ? left : left % 6 == 1 || left % 6 == 2 ? 4 : 6; }

/* c [m, n] = start + parts b; start may be c itself, or one row for all (lds = 0). */
static void product(long m, long n, const part *parts, long count, const float *b, long ldb, const float *start,
                    long lds, float *c, long ldc) {
    long done = 0;
    for (; done + 2 * LANES <= n; done += 2 * LANES, b += 2 * LANES, start += 2 * LANES, c += 2 * LANES) TILES(2)
    for (; done + LANES <= n; done += LANES, b += LANES, start += LANES, c += LANES) TILES(1)
    if (done < n) narrow(m, n - done, parts, count, b, ldb, start, lds, c, ldc);
}

/* --- non-linearities ---------------------------------------------------------------------------------------------- */

/* 1 / (1 + e^-x). e^-x = 2^t = 2^n 2^f with n whole and |f| <= 1/2; 2^f by a polynomial that is within 1e-7 of it. */
static inline float logistic(float x) {
    float t = x * -1.44269504f;
    t = t > 100.0f ? 100.0f : t;
    t = t < -100.0f ? -100.0f : t;
    const float shifted = t + 12582912.0f; /* 1.5 * 2^23: the last bits of the sum are the nearest whole number */
    const float f = t - (shifted - 12582912.0f);
    float power = 1.326473906e-3f;
    power = power * f + 9.671512850e-3f;
    power = power * f + 5.550733713e-2f;
    power = power * f + 2.402224208e-1f;
    power = power * f + 6.931469776e-1f;
    power = power * f + 1.0f;
    int bits, whole;
    memcpy(&bits, &power, 4);
    memcpy(&whole, &shifted, 4);
    bits += whole << 23;
    memcpy(&power, &bits, 4);
    return 1.0f / (1.0f + power);
}

static inline float hyperbolic(float x) { return 2.0f * logistic(2.0f * x) - 1.0f; }

/* --- one pixel ---------------------------------------------------------------------------------------------------- */

static inline long gate_count(const layer *l) { return (3 + l->cell_taps) * l->hidden; }

static inline long depth_of(const layer *l) { return l->input_taps * l->inputs + l->state_taps * l->hidden; }

/* The pixel that tap number `tap` of direction d points at, or -1 if it lies outside. */
static inline long at(const layer *l, long d, long tap, long r, long c) {
    r += l->offsets[2 * tap];
    c += d ? -l->offsets[2 * tap + 1] : l->offsets[2 * tap + 1];
    return r >= 0 && r < l->height && c >= 0 && c < l->width ? r * l->width + c : -1;
}

/* The parts of a pixel's gates: input taps, then state taps. */
static inline long gather(const layer *l, long d, long r, long c, long n0, part *parts) {
    const long taps = l->input_taps + l->state_taps;
    const float *state = l->state + d * l->height * l->width * l->images * l->hidden;
    for (long t = 0; t < taps; t++) {
        const int input = t < l->input_taps;
        const long pixel = at(l, d, t, r, c), size = input ? l->inputs : l->hidden;
        const float *from = input ? l->x : state;
        parts[t] = (part){pixel < 0 ? NULL : from + (pixel * l->images + n0) * size, size, 1, size};
    }
    return taps;
}

static void sweep_pixel(const layer *l, long d, long r, long c, long n0, long n1, float *scratch) {
    part parts[MAX_PARTS];
    const long h = l->hidden, size = gate_count(l), m = n1 - n0, map = l->height * l->width * l->images;
    const long taps = gather(l, d, r, c, n0, parts);
    const long here = (r * l->width + c) * l->images + n0;
    float *gates = l->gates ? l->gates + (d * map + here) * size : scratch;
    product(m, size, parts, taps, l->weight + d * depth_of(l) * size, size, l->bias + d * size, 0, gates, size);
    float *cells = l->cell + d * map * h, *states = l->state + (d * map + here) * h;
    for (long n = 0; n < m; n++) {
        float *restrict i = gates + n * size, *restrict o = i + h, *restrict g = o + h;
        float *restrict cell = cells + (here + n) * h, *restrict state = states + n * h;
        for (long j = 0; j < h; j++) {
            i[j] = logistic(i[j]);
            o[j] = logistic(o[j]);
            g[j] = hyperbolic(g[j]);
            cell[j] = i[j] * g[j];
        }
        for (long t = 0; t < l->cell_taps; t++) {
            const long from = at(l, d, taps + t, r, c);
            float *restrict f = g + (1 + t) * h;
            const float *restrict old = cells + (from * l->images + n0 + n) * h;
            for (long j = 0; j < h; j++) f[j] = logistic(f[j]);
            if (from >= 0)
                for (long j = 0; j < h; j++) cell[j] += f[j] * old[j];
        }
        for (long j = 0; j < h; j++) state[j] = o[j] * hyperbolic(cell[j]);
    }
}

/* The states that meet at a pixel, summed over the directions; gives a pointer to [n1 - n0, hidden]. */
static const float *meeting(const layer *l, long r, long c, long n0, long n1, float *scratch) {
    const long size = (n1 - n0) * l->hidden, map = l->height * l->width * l->images;
    const float *found = NULL;
    for (long d = 0; d < l->directions; d++) {
        if (r < l->shift[d]) continue;
        const float *state = l->state + (d * map + ((r - l->shift[d]) * l->width + c) * l->images + n0) * l->hidden;
        if (found) {
            for (long j = 0; j < size; j++) scratch[j] = found[j] + state[j];
            found = scratch;
        } else
            found = state;
    }
    return found;
}

static void output_pixel(const layer *l, long r, long c, long n0, long n1, float *scratch) {
    const long m = n1 - n0, size = l->inputs, here = ((r * l->width + c) * l->images + n0) * size;
    const part states = {meeting(l, r, c, n0, n1, scratch), l->hidden, 1, l->hidden};
    const float *x = l->x + here;
    float *y = l->y + here;
    for (long n = 0; n < m; n++)
        for (long j = 0; j < size; j++) y[n * size + j] = x[n * size + j] + l->up_bias[j];
    product(m, size, &states, states.a != NULL, l->up, size, y, size, y, size);
}

/* --- plain causal layers ------------------------------------------------------------------------------------------ */

/* y = [relu] (bias + [relu] x at the taps weight); a rectified input is read at the pixel itself only. */
typedef struct {
    long height, width, images, inputs, outputs, taps, relu_before, relu_after;
    const long *offsets; /* (rows, columns) to add */
    const float *weight; /* [taps, inputs, outputs] */
    const float *bias;   /* [outputs] */
    const float *x;      /* [height, width, images, inputs] */
    float *y;            /* [height, width, images, outputs] */
    const float *weight_t; /* [outputs, inputs]; from here on for backward only */
    const float *d_y;      /* like y */
    float *d_x;            /* like x */
} plain;

static void plain_pixel(const plain *l, long r, long c, long n0, long n1, float *scratch) {
    part parts[MAX_PARTS];
    const long m = n1 - n0, in = l->inputs, out = l->outputs;
    for (long t = 0; t < l->taps; t++) {
        const long rr = r + l->offsets[2 * t], cc = c + l->offsets[2 * t + 1];
        const int inside = rr >= 0 && rr < l->height && cc >= 0 && cc < l->width;
        parts[t] = (part){inside ? l->x + ((rr * l->width + cc) * l->images + n0) * in : NULL, in, 1, in};
    }
    if (l->relu_before) {
        for (long j = 0; j < m * in; j++) scratch[j] = parts[0].a[j] < 0.0f ? 0.0f : parts[0].a[j];
        parts[0].a = scratch;
    }
    float *y = l->y + ((r * l->width + c) * l->images + n0) * out;
    product(m, out, parts, l->taps, l->weight, out, l->bias, 0, y, out);
    if (l->relu_after)
        for (long j = 0; j < m * out; j++) y[j] = y[j] < 0.0f ? 0.0f : y[j];
}

/* --- networks ----------------------------------------------------------------------------------------------------- */

/* A network is a list of steps, each one of the two kinds of layer; the maps that one writes the next one reads. */
typedef struct {
    const plain *causal;
    const layer *recurrent; /* one of the two is null */
} step;

static float *numbers(long count) { return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64); }

static float *scratch_for(const step *steps, long count) {
    long most = 0;
    for (long s = 0; s < count; s++) {
        const long size = steps[s].recurrent ? gate_count(steps[s].recurrent) : steps[s].causal->inputs;
        most = size > most ? size : most;
    }
    return numbers(BLOCK * most);
}

static void sweep_back_row(const layer *l, long r, long n0, long n1, float *scratch) {
    for (long c = l->width - 1; c >= 0; c--) sweep_pixel(l, 1, r, c, n0, n1, scratch);
}

/* Rows r0 to r1 of images n0 to n1, whole. Returns 0, or 1 where memory is short. */
int forward_rows(const step *steps, long count, long r0, long r1, long n0, long n1) {
    float *scratch = scratch_for(steps, count);
    if (!scratch) return 1;
    for (long b0 = n0; b0 < n1; b0 += BLOCK) {
        const long b1 = b0 + BLOCK < n1 ? b0 + BLOCK : n1;
        for (long s = 0; s < count; s++) {
            const layer *l = steps[s].recurrent;
            const long width = l ? l->width : steps[s].causal->width;
            for (long r = r0; r < r1; r++) {
                if (!l) {
                    for (long c = 0; c < width; c++) plain_pixel(steps[s].causal, r, c, b0, b1, scratch);
                    continue;
                }
                for (long c = 0; c < width; c++) sweep_pixel(l, 0, r, c, b0, b1, scratch);
                if (l->directions == 2) sweep_back_row(l, r, b0, b1, scratch);
                for (long c = 0; c < width; c++) output_pixel(l, r, c, b0, b1, scratch);
            }
        }
    }
    free(scratch);
    return 0;
}

/* One pixel of images n0 to n1 through the network. Mirrored directions count as far as their rows were done. */
int forward_pixel(const step *steps, long count, long r, long c, long n0, long n1) {
    float *scratch = scratch_for(steps, count);
    if (!scratch) return 1;
    for (long b0 = n0; b0 < n1; b0 += BLOCK) {
        const long b1 = b0 + BLOCK < n1 ? b0 + BLOCK : n1;
        for (long s = 0; s < count; s++) {
            const layer *l = steps[s].recurrent;
            if (!l) {
                plain_pixel(steps[s].causal, r, c, b0, b1, scratch);
                continue;
            }
            sweep_pixel(l, 0, r, c, b0, b1, scratch);
            output_pixel(l, r, c, b0, b1, scratch);
        }
    }
    free(scratch);
    return 0;
}

/* The mirrored directions of a row whose pixels are done. */
int end_row(const step *steps, long count, long r, long n0, long n1) {
    float *scratch = scratch_for(steps, count);
    if (!scratch) return 1;
    for (long b0 = n0; b0 < n1; b0 += BLOCK) {
        const long b1 = b0 + BLOCK < n1 ? b0 + BLOCK : n1;
        for (long s = 0; s < count; s++)
            if (steps[s].recurrent && steps[s].recurrent->directions == 2)
                sweep_back_row(steps[s].recurrent, r, b0, b1, scratch);
    }
    free(scratch);
    return 0;
}

/* --- backward ----------------------------------------------------------------------------------------------------- */

/* Gradients that later pixels leave for earlier ones: the rows from a pixel's own up to `rows` - 1 above it, in turn. */
typedef struct {
    long rows, width, size;
    float *at;
} ring;

static inline float *place(const ring *a, long r, long c) { return a->at + ((r % a->rows) * a->width + c) * a->size; }

static void pixel_back(const layer *l, long d, long r, long c, long n0, long n1, const ring *d_states,
                       const ring *d_cells, const ring *d_ups, float *d_gates, float *sums) {
    part parts[MAX_PARTS];
    const long h = l->hidden, size = gate_count(l), m = n1 - n0, map = l->height * l->width * l->images;
    const long taps = gather(l, d, r, c, n0, parts), depth = depth_of(l);
    const long here = (r * l->width + c) * l->images + n0;
    const float *gates = l->gates + (d * map + here) * size, *states = l->state + (d * map + here) * h;
    const float *cells = l->cell + d * map * h;
    float *d_state = place(d_states, r, c), *d_cell = place(d_cells, r, c);
    float *d_weight = sums + d * depth * size, *d_bias = sums + l->directions * depth * size + d * size;

    if (r + l->shift[d] < l->height) {
        const float *d_up = place(d_ups, r + l->shift[d], c);
        for (long j = 0; j < m * h; j++) d_state[j] += d_up[j];
    }
    for (long n = 0; n < m; n++) {
        const float *restrict i = gates + n * size, *restrict o = i + h, *restrict g = o + h;
        const float *restrict s = states + n * h;
        float *restrict di = d_gates + n * size, *restrict do_ = di + h, *restrict dg = do_ + h;
        float *restrict ds = d_state + n * h, *restrict dc = d_cell + n * h;
        for (long j = 0; j < h; j++) {
            const float squashed = s[j] / o[j]; /* tanh(cell) */
            dc[j] += ds[j] * (o[j] - s[j] * squashed);
            do_[j] = ds[j] * s[j] * (1.0f - o[j]);
            const float dci = dc[j] * i[j];
            di[j] = dci * g[j] * (1.0f - i[j]);
            dg[j] = dci * (1.0f - g[j] * g[j]);
        }
        for (long t = 0; t < l->cell_taps; t++) {
            const long from = at(l, d, taps + t, r, c);
            const float *restrict f = g + (1 + t) * h;
            float *restrict df = dg + (1 + t) * h;
            if (from < 0) {
                memset(df, 0, h * sizeof(float));
                continue;
            }
            const float *restrict old = cells + (from * l->images + n0 + n) * h;
            float *restrict d_old = place(d_cells, from / l->width, from % l->width) + n * h;
            for (long j = 0; j < h; j++) {
                const float share = dc[j] * f[j];
                df[j] = share * old[j] * (1.0f - f[j]);
                d_old[j] += share;
            }
        }
    }
    memset(d_state, 0, m * h * sizeof(float)); /* the place serves a row further up next */
    memset(d_cell, 0, m * h * sizeof(float));

    const part back = {d_gates, size, 1, size};
    const float *turned = l->weight_t + d * depth * size;
    for (long t = 0, k = 0; t < taps; k += parts[t++].depth) {
        if (!parts[t].a) continue;
        const long from = at(l, d, t, r, c), width = parts[t].depth;
        float *to = t < l->input_taps ? l->d_x + (from * l->images + n0) * width
                                      : place(d_states, from / l->width, from % l->width);
        product(m, width, &back, 1, turned + k, depth, to, width, to, width);
        const part across = {parts[t].a, 1, width, m}; /* transposed: the images are summed over */
        product(width, size, &across, 1, d_gates, size, d_weight + k * size, size, d_weight + k * size, size);
    }
    for (long n = 0; n < m; n++)
        for (long j = 0; j < size; j++) d_bias[j] += d_gates[n * size + j];
}

static void output_back(const layer *l, long r, long c, long n0, long n1, const ring *d_ups, float *scratch,
                        float *sums) {
    const long h = l->hidden, size = l->inputs, m = n1 - n0, here = ((r * l->width + c) * l->images + n0) * size;
    const float *d_y = l->d_y + here;
    const float *states = meeting(l, r, c, n0, n1, scratch);
    float *d_up_weight = sums + l->directions * (depth_of(l) + 1) * gate_count(l), *d_up_bias = d_up_weight + h * size;
    float *d_up = place(d_ups, r, c);
    const part back = {d_y, size, 1, size}, across = {states, 1, h, m};
    memcpy(l->d_x + here, d_y, m * size * sizeof(float));
    memset(d_up, 0, m * h * sizeof(float));
    product(m, h, &back, 1, l->up_t, h, d_up, h, d_up, h);
    if (states) product(h, size, &across, 1, d_y, size, d_up_weight, size, d_up_weight, size);
    for (long n = 0; n < m; n++)
        for (long j = 0; j < size; j++) d_up_bias[j] += d_y[n * size + j];
}

/* Back through a layer without neighbours (1x1) on a map of a single pixel, images n0 to n1. Adds the gradients of weight
   and bias to sums. */
int plain_backward(const plain *l, long n0, long n1, float *sums) {
    const long in = l->inputs, out = l->outputs;
    float *d = numbers(BLOCK * (in + out)), *x = d + BLOCK * out;
    if (!d) return 1;
    for (long b0 = n0; b0 < n1; b0 += BLOCK) {
        const long m = b0 + BLOCK < n1 ? BLOCK : n1 - b0;
        const float *y = l->y + b0 * out, *d_y = l->d_y + b0 * out, *given = l->x + b0 * in;
        float *d_x = l->d_x + b0 * in;
        for (long j = 0; j < m * out; j++) d[j] = l->relu_after && y[j] <= 0.0f ? 0.0f : d_y[j];
        for (long j = 0; j < m * in; j++) x[j] = l->relu_before && given[j] < 0.0f ? 0.0f : given[j];
        const part back = {d, out, 1, out}, across = {x, 1, in, m};
        memset(d_x, 0, m * in * sizeof(float));
        product(m, in, &back, 1, l->weight_t, in, d_x, in, d_x, in);
        product(in, out, &across, 1, d, out, sums, out, sums, out);
        if (l->relu_before)
            for (long j = 0; j < m * in; j++) d_x[j] = given[j] <= 0.0f ? 0.0f : d_x[j];
        for (long n = 0; n < m; n++)
            for (long j = 0; j < out; j++) sums[in * out + j] += d[n * out + j];
    }
    free(d);
    return 0;
}

/* Images n0 to n1. Adds to sums: gradients of weight, bias, up and up_bias, one after the other. */
int backward(const layer *l, long n0, long n1, float *sums) {
    const long width = l->width, h = l->hidden, size = BLOCK * h;
    long rows = 2;
    for (long t = 0; t < l->input_taps + l->state_taps + l->cell_taps; t++)
        if (1 - l->offsets[2 * t] > rows) rows = 1 - l->offsets[2 * t];
    const long each = rows * width * size;
    float *memory = numbers((2 * l->directions + 1) * each + BLOCK * gate_count(l));
    if (!memory) return 1;
    const ring d_ups = {rows, width, size, memory + 2 * l->directions * each};
    float *scratch = d_ups.at + each;
    for (long b0 = n0; b0 < n1; b0 += BLOCK) {
        const long b1 = b0 + BLOCK < n1 ? b0 + BLOCK : n1;
        memset(memory, 0, 2 * l->directions * each * sizeof(float));
        for (long r = l->height - 1; r >= 0; r--) {
            for (long c = 0; c < width; c++) output_back(l, r, c, b0, b1, &d_ups, scratch, sums);
            for (long d = 0; d < l->directions; d++) {
                const ring d_states = {rows, width, size, memory + 2 * d * each};
                const ring d_cells = {rows, width, size, memory + (2 * d + 1) * each};
                for (long k = width - 1; k >= 0; k--)
                    pixel_back(l, d, r, d ? width - 1 - k : k, b0, b1, &d_states, &d_cells, &d_ups, scratch, sums);
            }
        }
    }
    free(memory);
    return 0;
}
