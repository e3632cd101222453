#include "table/table.h"

#include "table/lmdb_table.h"
#include "table/settings.h"
#include "table/text_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sysexits.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;
using testing::HasSubstr;

// A folder of its own for each test.
class Folder
{
public:
    Folder()
    {
        std::string name = testing::TempDir() + "/table.XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string write(const std::string& name, std::string_view text) const
    {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

// "=value", "absent", "broken: reason" or "error: reason".
std::string ask(std::string_view spec, std::string_view key)
{
    const auto table = open_table(spec);
    if (!table)
        return "error: " + table.error().context;
    return (*table)->find(key).match([](const std::string& value) { return "=" + value; },
                                     [] { return std::string("absent"); },
                                     [](const std::string& reason) { return "broken: " + reason; });
}

struct Case {
    const char* name;
    std::string text; // of the file, for types that have one
    std::string spec; // "type:" then uses the file
    std::string key;
    std::string answer;
};

class Tables : public testing::TestWithParam<Case>
{
};

TEST_P(Tables, Answer)
{
    const Folder folder;
    std::string spec = GetParam().spec;
    if (spec.ends_with(':') && !GetParam().text.empty())
        spec += folder.write("source", GetParam().text);
    EXPECT_EQ(ask(spec, GetParam().key), GetParam().answer);
}

INSTANTIATE_TEST_SUITE_P(Texthash, Tables,
                         testing::Values(Case{"Found", "a 1\nB  two words \n", "texthash:", "b",
                                              "=two words"},
                                         Case{"FoldsTheQuery", "a 1\n", "texthash:", "A", "=1"},
                                         Case{"Absent", "a 1\n", "texthash:", "c", "absent"},
                                         Case{"FirstDuplicateWins", "a 1\na 2\n", "texthash:", "a", "=1"},
                                         Case{"QuotedKey", "\"a b\" 1\n", "texthash:", "\"a b\"", "=1"},
                                         Case{"Continuation", "a 1,\n  2\n", "texthash:", "a", "=1,  2"}),
                         [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    InMemory, Tables,
    testing::Values(Case{"Inline", "", "inline:{a=1, {b = two words}, c=x=y}", "b", "=two words"},
                    Case{"InlineEquals", "", "inline:{a=1, c=x=y}", "c", "=x=y"},
                    Case{"InlineSpaced", "", "inline:{ {a = 1} b=2 }", "a", "=1"},
                    Case{"InlineAbsent", "", "inline:{a=1}", "b", "absent"},
                    Case{"InlineWithoutBraces", "", "inline:a=1", "a",
                         "error: bad syntax: \"inline:a=1\"; need \"inline:{name=value...}\""},
                    Case{"Static", "", "static:all", "x", "=all"},
                    Case{"StaticBraces", "", "static:{a b}", "x", "=a b"},
                    Case{"Fail", "", "fail:down", "x", "broken: fail:down"},
                    Case{"Union", "", "unionmap:{inline:{a=1},static:2}", "a", "=1,2"},
                    Case{"UnionPart", "", "unionmap:{inline:{a=1},inline:{b=2}}", "b", "=2"},
                    Case{"UnionBroken", "", "unionmap:{static:1,fail:x}", "b", "broken: fail:x"},
                    Case{"Pipe", "", "pipemap:{inline:{a=b},inline:{b=c}}", "a", "=c"},
                    Case{"PipeAbsent", "", "pipemap:{inline:{a=b},inline:{x=c}}", "a", "absent"},
                    Case{"Random", "", "randmap:{one}", "x", "=one"},
                    Case{"Proxy", "", "proxy:inline:{a=1}", "a", "=1"},
                    Case{"Unsupported", "", "nosuch:x", "x", "error: unsupported dictionary type: nosuch"},
                    Case{"UnixKind", "", "unix:hosts", "x", "error: unknown table: unix:hosts"},
                    Case{"UnixAbsent", "", "unix:passwd.byname", "no-such-user-here", "absent"}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Patterns, Tables,
    testing::Values(Case{"Regexp", "/^a(.*)@(.*)$/ $2-${1}\n", "regexp:", "ABC@d", "=d-BC"},
                    Case{"RegexpCase", "/abc/i 1\n", "regexp:", "ABC", "absent"},
                    Case{"Negated", "!/a/ 1\n", "regexp:", "b", "=1"},
                    Case{"BadRuleIsSkipped", "/(/ 1\n/b/ 2\n", "regexp:", "b", "=2"},
                    Case{"GroupOutOfRangeIsSkipped", "/b/ $1\n/b/ 2\n", "regexp:", "b", "=2"},
                    Case{"IfHolds", "if /a/\n/b/ 1\nendif\n/b/ 2\n", "pcre:", "ab", "=1"},
                    Case{"IfDoesNotHold", "if /a/\n/b/ 1\nendif\n/b/ 2\n", "pcre:", "b", "=2"},
                    Case{"NestedIf", "if /a/\nif !/b/\n/./ 1\nendif\n/./ 2\nendif\n", "pcre:", "ab", "=2"},
                    Case{"Pcre", "/^(\\w+)\\.example$/ OK $1\n", "pcre:", "Mail.example", "=OK Mail"},
                    Case{"PcreOtherDelimiter", "#^/a/(b)#x 1\n", "pcre:", "absent", "absent"},
                    Case{"PcreEscapedDelimiter", "/a\\/b/ 1\n", "pcre:", "a/b", "=1"},
                    Case{"PcreDollar", "/a/ $$5\n", "pcre:", "a", "=$5"},
                    Case{"Cidr", "10.0.0.0/8 ten\n!192.0.2.0/24 other\n0.0.0.0/0 rest\n",
                         "cidr:", "192.0.2.1", "=rest"},
                    Case{"CidrNegated", "!192.0.2.0/24 other\n", "cidr:", "192.0.3.1", "=other"},
                    Case{"CidrV6", "2001:db8::/32 six\n", "cidr:", "2001:db8::1", "=six"},
                    Case{"CidrHostBits", "10.1.2.3/8 bad\n10.0.0.0/8 good\n", "cidr:", "10.1.1.1", "=good"},
                    Case{"CidrOtherKey", "0.0.0.0/0 x\n", "cidr:", "name", "absent"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(PcreTable, EndlessMatchIsBroken)
{
    const Folder folder;
    const auto path = folder.write("source", "/^(a+)+$/ x\n");
    EXPECT_THAT(ask("pcre:" + path, std::string(60, 'a') + "b"), HasSubstr("broken: "));
}

TEST(UnixTable, KnowsRoot)
{
    EXPECT_THAT(ask("unix:passwd.byname", "root"), testing::StartsWith("=root:"));
}

TEST(Table, MissingFileIsAnError)
{
    EXPECT_THAT(ask("texthash:/nowhere/x", "a"), HasSubstr("error: open database /nowhere/x"));
    EXPECT_THAT(ask("hash:/nowhere/x", "a"), HasSubstr("error: open database /nowhere/x.lmdb"));
}

TEST(Table, NestingIsLimited)
{
    std::string spec = "static:x";
    for (int i = 0; i < 20; ++i)
        spec = "proxy:" + spec;
    EXPECT_THAT(ask(spec, "a"), HasSubstr("error: tables are nested"));
}

TEST(TableList, FirstHitWinsAndBrokenStops)
{
    auto list = TableList::open("inline:{a=1}, {inline:{a=2,b=3}} nis:mail.aliases");
    EXPECT_EQ(list.find("a").value(), "1");
    EXPECT_EQ(list.find("b").value(), "3");
    EXPECT_TRUE(list.find("c").is_absent());
    auto broken = TableList::open("inline:{a=1} fail:x static:2");
    EXPECT_TRUE(broken.find("a").is_found());
    EXPECT_TRUE(broken.find("b").is_broken());
}

TEST(TableList, WhatCannotBeOpenedIsBrokenAndNothingElse)
{
    auto list = TableList::open("inline:{a=1} nosuch:x");
    EXPECT_TRUE(list.find("a").is_found());
    const Lookup answer = list.find("b");
    ASSERT_TRUE(answer.is_broken());
    EXPECT_EQ(answer.reason(), "nosuch:x is unavailable: unsupported dictionary type: nosuch");
    EXPECT_TRUE(TableList::open("texthash:/nowhere/x").find("a").is_broken());
}

TEST(TableList, PartialKeysSkipPatterns)
{
    const Folder folder;
    auto list = TableList::open("regexp:" + folder.write("source", "/./ x\n"));
    EXPECT_TRUE(list.find("a").is_found());
    EXPECT_TRUE(list.find("a", true).is_absent());
}

TEST(Table, NoticesAReplacedFile)
{
    const Folder folder;
    const auto path = folder.write("source", "a 1\n");
    const auto table = open_table("texthash:" + path);
    ASSERT_TRUE(table);
    EXPECT_FALSE((*table)->is_stale());
    std::filesystem::rename(folder.write("new", "a 2\n"), path);
    EXPECT_TRUE((*table)->is_stale());
}

// ---- LMDB

std::string made(const Folder& folder, NulEnding ending, int count = 3)
{
    const auto source = folder.write("map", "source");
    ::chmod(source.c_str(), 0640);
    auto writer = LmdbWriter::create(lmdb_path(source), source, false);
    EXPECT_TRUE(writer) << writer.error().context;
    for (int i = 0; i < count; ++i)
        EXPECT_TRUE(
            writer->put("key" + std::to_string(i), "value" + std::to_string(i), ending, Duplicate::refuse));
    EXPECT_TRUE(writer->commit());
    return source;
}

TEST(Lmdb, RoundTripWithEitherEnding)
{
    for (const NulEnding ending : {NulEnding::with, NulEnding::without}) {
        const Folder folder;
        const auto source = made(folder, ending);
        for (const char* type : {"hash:", "btree:", "lmdb:"})
            EXPECT_EQ(ask(type + source, "KEY1"), "=value1");
        EXPECT_EQ(ask("hash:" + source, "key9"), "absent");
        EXPECT_EQ(ask("hash:" + source, std::string(600, 'x')), "absent");
    }
}

TEST(Lmdb, ModeIsThatOfTheSource)
{
    const Folder folder;
    struct stat status{};
    ASSERT_EQ(::stat(lmdb_path(made(folder, NulEnding::without)).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0640u);
}

TEST(Lmdb, GrowsWithItsContents)
{
    const Folder folder;
    const auto source = folder.write("map", "");
    auto writer = LmdbWriter::create(lmdb_path(source), source, false);
    ASSERT_TRUE(writer);
    const std::string value(1000, 'v');
    for (int i = 0; i < 40000; ++i)
        ASSERT_TRUE(writer->put("k" + std::to_string(i), value, NulEnding::without, Duplicate::refuse)) << i;
    ASSERT_TRUE(writer->commit());
    EXPECT_EQ(ask("hash:" + source, "k39999"), "=" + value);
}

TEST(Lmdb, DuplicatesAreRefusedOrReplaced)
{
    const Folder folder;
    const auto source = folder.write("map", "");
    auto writer = LmdbWriter::create(lmdb_path(source), source, false);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->put("a", "1", NulEnding::without, Duplicate::refuse));
    const auto again = writer->put("a", "2", NulEnding::without, Duplicate::refuse);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().fault, Fault::refused);
    EXPECT_TRUE(writer->put("a", "3", NulEnding::without, Duplicate::replace));
    EXPECT_FALSE(writer->put(std::string(600, 'k'), "3", NulEnding::without, Duplicate::replace));
}

TEST(Lmdb, KeepsOldEntriesAndRemoves)
{
    const Folder folder;
    const auto source = made(folder, NulEnding::with);
    auto writer = LmdbWriter::create(lmdb_path(source), source, true);
    ASSERT_TRUE(writer);
    EXPECT_TRUE(*writer->remove("key0"));
    EXPECT_FALSE(*writer->remove("key7"));
    ASSERT_TRUE(writer->commit());
    EXPECT_EQ(ask("hash:" + source, "key0"), "absent");
    EXPECT_EQ(ask("hash:" + source, "key1"), "=value1");
}

TEST(Lmdb, AnAbandonedWriterLeavesNothing)
{
    const Folder folder;
    const auto source = folder.write("map", "");
    {
        auto writer = LmdbWriter::create(lmdb_path(source), source, false);
        ASSERT_TRUE(writer);
    }
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.file("")))
        ++files;
    EXPECT_EQ(files, 1u);
}

TEST(Lmdb, DamagedFileIsAnError)
{
    const Folder folder;
    folder.write("map.lmdb", std::string(100000, 'x'));
    EXPECT_THAT(ask("hash:" + folder.file("map"), "a"), HasSubstr("error: open database"));
}

TEST(Lmdb, ReaderSeesTheOldFileUntilItHandsOver)
{
    const Folder folder;
    const auto source = made(folder, NulEnding::without, 1);
    const auto table = open_table("hash:" + source);
    ASSERT_TRUE(table);
    made(folder, NulEnding::without, 2);
    EXPECT_TRUE((*table)->find("key1").is_absent());
    EXPECT_TRUE((*table)->is_stale());
}

// ---- sources

TEST(TextSource, WarnsOfBadLines)
{
    const auto source = TextSource::parse_map("a 1\nb\nC: 2\n", "map", true);
    ASSERT_EQ(source.entries.size(), 2u);
    EXPECT_EQ(source.entries[1].key, "c:");
    EXPECT_THAT(source.warnings,
                ElementsAre("map, line 2: expected format: key whitespace value",
                            "map, line 3: record is in \"key: value\" format; is this an alias file?"));
}

TEST(TextSource, Aliases)
{
    const auto source = TextSource::parse_aliases("# c\nPostmaster: root\nlist: a,\n  b, \"|cmd x\"\n"
                                                  "\"quoted name\" : c\nbad line\nempty:\n",
                                                  "aliases", true);
    std::vector<std::string> pairs;
    for (const auto& entry : source.entries)
        pairs.push_back(entry.key + "=" + entry.value);
    EXPECT_THAT(pairs, ElementsAre("postmaster=root", "list=a, b, \"|cmd x\"", "quoted name=c"));
    EXPECT_THAT(source.warnings, ElementsAre("aliases, line 6: need name:value pair",
                                             "aliases, line 7: need name:value pair"));
}

TEST(TableListDeathTest, EndsTheProcessWhenThatIsWanted)
{
    const auto open = [] {
        table_settings().open_error_is_fatal = true;
        TableList::open("hash:/no/such/table");
    };
    EXPECT_EXIT(open(), testing::ExitedWithCode(EX_CONFIG), "");
    EXPECT_TRUE(TableList::open("hash:/no/such/table").find("key").is_broken());
}

} // namespace
} // namespace bulkhead
