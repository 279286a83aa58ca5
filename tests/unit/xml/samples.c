/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "samples.h"

#include <string.h>

static const char *const texts_of_all[] = {"", " ", "\n", "maybe\xc2\xa0", "<", "a b\tc", NULL};

/* NULL-terminated, by type; UINT, CHOICE and the long ones are made from the field. */
static const struct {
    const char *valid[12];
    const char *invalid[24];
    const char *beyond[12];
} samples_of_type[] = {
    [GANTRY_FIELD_BOOL] = {{"yes", "no"}, {"Yes", "true", "1", " yes", "no\n"}},
    [GANTRY_FIELD_UINT] = {{NULL}, {"-1", "+1", "0x10", "1.0", "1e1", " 50", "50 ", "\n50", "1,0"}},
    [GANTRY_FIELD_CHOICE] = {{NULL}, {"none", "affinityy", " raw"}},
    [GANTRY_FIELD_NAME] = {{"a", "vda", "web_1.example-x:2", "0000:03:10.0", "-"},
                           {"a b", "a/b", "ü", "a,b", " a", "a\n", "a'"}},
    [GANTRY_FIELD_NAMES] = {{"vda", "vda,vdb", " vda , vdb ,\nvdc "},
                            {",", "vda,", ",vda", "vda,,vdb", "vda vdb", "v/a"},
                            {"vda,vdb,vda", "vda, vda"}},
    [GANTRY_FIELD_TEXT] = {{"x", "ü & <b> 'q' \"q\"", " blank "}, {"a\tb", "\x7f"}},
    [GANTRY_FIELD_PATH] = {{"/", "/a", "/dev/vg/lv", "/a b/'c'/\"d\"/&<>", "/ü/.hidden/..x/x..",
                            "//a/./b/", "/..."},
                           {"a", "./a", "../a", "/..", "/../a", "/a/../b", "/a/..", "/a\nb", "/\t",
                            "/\x7f"}},
    [GANTRY_FIELD_CPUSET] = {{"0", "3,1,2", "0-3,8", "8191", "007", "0-8191", "1-1,1"},
                             {"8192", "0-8192", "a", "0-", "-1", "0,,1", ",", "0 - 1", " 0", "^1",
                              "99999999999999999999"},
                             {"3-1"}},
    [GANTRY_FIELD_MAC] = {{"52:54:00:00:00:01", "02:AB:cd:Ef:00:ff", "00:00:00:00:00:01",
                           "fa:00:00:00:00:00", "1C:00:00:00:00:00", "0e:00:00:00:00:00"},
                          {"01:00:5e:00:00:01", "03:00:00:00:00:00", "05:00:00:00:00:00",
                           "07:00:00:00:00:00", "09:00:00:00:00:00", "0b:00:00:00:00:00",
                           "0D:00:00:00:00:00", "0f:00:00:00:00:00", "0F:00:00:00:00:00",
                           "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "52-54-00-00-00-01",
                           "52:54:00:00:00", "52:54:00:00:00:01:02", "52:54:0:0:0:1",
                           "5254.0000.0001", "52:54:00:00:00:0g", " 52:54:00:00:00:01"}},
    [GANTRY_FIELD_IP] = {{"10.0.0.5", "255.255.255.255", "0.0.0.0", "fd00::5", "::", "::1",
                          "FD00:0:0:0:0:0:0:5", "2001:db8::1:2:3:4", "::ffff:10.0.0.1",
                          "1:2:3:4:5:6:7:8"},
                         {"10.0.0", "10.0.0.256", "10.0.0.05", "10.0.0.0/8", "fd00::5%eth0", "fd00",
                          "10.0.0.5.6", "g::1", "::12345", "host", "1:2:3:4:5:6:7:8:9"},
                         {"1::2::3", ":::", "1:2", ":1:2:3:4:5:6:7", "::1.2", "1:2:3:4:5:6:7:8.9"}},
};

static void
add_all(GPtrArray *texts, const char *const *more)
{
    for (; *more; more++) {
        g_ptr_array_add(texts, g_strdup(*more));
    }
}

static void
add_number(GPtrArray *texts, guint64 number)
{
    g_ptr_array_add(texts, g_strdup_printf("%" G_GUINT64_FORMAT, number));
}

static void
add_repeated(GPtrArray *texts, const char *head, const char *part, guint times)
{
    GString *text = g_string_new(head);

    while (times-- > 0) {
        g_string_append(text, part);
    }
    g_ptr_array_add(texts, g_string_free(text, FALSE));
}

static void
add_names(GPtrArray *texts, guint count)
{
    GString *text = g_string_new("n0");

    for (guint i = 1; i < count; i++) {
        g_string_append_printf(text, ",n%u", i);
    }
    g_ptr_array_add(texts, g_string_free(text, FALSE));
}

static void
add_limits(const GantryField *field, GPtrArray *valid, GPtrArray *invalid, GPtrArray *beyond)
{
    switch (field->type) {
    case GANTRY_FIELD_UINT:
        add_number(valid, field->min);
        add_number(valid, field->max);
        add_number(valid, (field->min + field->max) / 2);
        g_ptr_array_add(valid, g_strdup_printf("00%" G_GUINT64_FORMAT, field->max));
        add_number(invalid, field->max + 1);
        g_ptr_array_add(invalid, g_strdup("99999999999999999999999"));
        if (field->min > 0) {
            add_number(invalid, field->min - 1);
        }
        break;
    case GANTRY_FIELD_CHOICE:
        add_all(valid, field->choices);
        g_ptr_array_add(invalid, g_ascii_strup(field->choices[0], -1));
        break;
    case GANTRY_FIELD_NAME:
        add_repeated(valid, "", "n", 64);
        add_repeated(invalid, "", "n", 65);
        break;
    case GANTRY_FIELD_NAMES:
        add_names(valid, 64);
        add_names(invalid, 65);
        add_repeated(invalid, "vda,", "n", 65);
        break;
    case GANTRY_FIELD_TEXT:
        add_repeated(valid, "", "ü", 1024);
        add_repeated(invalid, "", "ü", 1025);
        break;
    case GANTRY_FIELD_PATH:
        add_repeated(valid, "/", "p", 4094);
        add_repeated(invalid, "/", "p", 4095);
        add_repeated(beyond, "/", "ü", 4000); /* characters, but more bytes */
        break;
    case GANTRY_FIELD_CPUSET:
        add_repeated(beyond, "0", ",0", 40000);
        break;
    default:
        break;
    }
}

static GStrv
take(GPtrArray *texts)
{
    g_ptr_array_add(texts, NULL);
    return (GStrv)g_ptr_array_free(texts, FALSE);
}

void
field_samples_init(FieldSamples *samples, const GantryField *field)
{
    GPtrArray *valid = g_ptr_array_new();
    GPtrArray *invalid = g_ptr_array_new();
    GPtrArray *beyond = g_ptr_array_new();

    add_all(valid, samples_of_type[field->type].valid);
    add_all(invalid, samples_of_type[field->type].invalid);
    add_all(beyond, samples_of_type[field->type].beyond);
    if (field->type != GANTRY_FIELD_TEXT) {
        add_all(invalid, texts_of_all);
    } else {
        g_ptr_array_add(invalid, g_strdup(""));
    }
    add_limits(field, valid, invalid, beyond);
    samples->valid = take(valid);
    samples->invalid = take(invalid);
    samples->beyond = take(beyond);
}

void
field_samples_clear(FieldSamples *samples)
{
    g_clear_pointer(&samples->valid, g_strfreev);
    g_clear_pointer(&samples->invalid, g_strfreev);
    g_clear_pointer(&samples->beyond, g_strfreev);
}

static char *
random_value(GRand *random, const GantryField *field)
{
    g_auto(FieldSamples) samples = {0};
    g_autoptr(GError) error = NULL;
    char *value;
    gint32 count;

    field_samples_init(&samples, field);
    count = (gint32)g_strv_length(samples.valid);
    value = gantry_field_canonical(field, samples.valid[g_rand_int_range(random, 0, count)],
                                   "sample", &error);
    g_assert_no_error(error);
    return value;
}

GantryElement *
random_element_new(GRand *random, const GantryElementSpec *spec)
{
    GantryElement *element = gantry_element_new(spec);

    for (guint i = 0; spec->fields && spec->fields[i].name; i++) {
        if (spec->fields[i].required || g_rand_boolean(random)) {
            element->values[i] = random_value(random, &spec->fields[i]);
        }
    }
    if (spec->content) {
        element->content = random_value(random, spec->content);
    }
    for (const GantryElementSpec *const *child = spec->children; child && *child; child++) {
        guint most = MIN(MAX((*child)->max_occurs, 1), 4);
        guint count =
            (guint)g_rand_int_range(random, (gint32)(*child)->min_occurs, (gint32)most + 1);

        while (count-- > 0) {
            g_ptr_array_add(element->children, random_element_new(random, *child));
        }
    }
    return element;
}
