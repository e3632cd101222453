// Databases made from sources, in every format, also those that replace Berkeley DB files.
#include "table/map_file.h"

#include "table/file_value.h"
#include "table/message_keys.h"
#include "table/table.h"
#include "table/text_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;
using testing::HasSubstr;

class Folder
{
public:
    Folder()
    {
        std::string name = testing::TempDir() + "/maps.XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string write(const std::string& name, std::string_view text) const
    {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }
    std::size_t file_count() const
    {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
    }

private:
    std::string path_;
};

std::string ask(const std::string& spec, std::string_view key, const TableOptions& options = {})
{
    const auto table = open_table(spec, options);
    if (!table)
        return "error: " + table.error().context;
    return (*table)->find(key).match([](const std::string& value) { return "=" + value; },
                                     [] { return std::string("absent"); },
                                     [](const std::string& reason) { return "broken: " + reason; });
}

MapBuild build_of(std::string type, std::string name)
{
    MapBuild build;
    build.type = std::move(type);
    build.name = std::move(name);
    return build;
}

class MapTypes : public testing::TestWithParam<std::string>
{
};

TEST_P(MapTypes, RoundTrip)
{
    const Folder folder;
    const auto source = folder.write("map", "A b c\nd e\na 2\n");
    ASSERT_TRUE(build_map(build_of(GetParam(), source)));
    EXPECT_EQ(ask(GetParam() + ":" + source, "a"), "=b c");
    EXPECT_EQ(ask(GetParam() + ":" + source, "A"), "=b c");
    EXPECT_EQ(ask(GetParam() + ":" + source, "x"), "absent");
    EXPECT_EQ(ask(GetParam() + ":" + source, ""), "absent");
    EXPECT_EQ(folder.file_count(), 2u);
}

TEST_P(MapTypes, ReplaceTakesTheLast)
{
    const Folder folder;
    const auto source = folder.write("map", "a 1\na 2\n");
    MapBuild build = build_of(GetParam(), source);
    build.replace = true;
    ASSERT_TRUE(build_map(build));
    EXPECT_EQ(ask(GetParam() + ":" + source, "a"), "=2");
}

TEST_P(MapTypes, NulEndingsAreTried)
{
    const Folder folder;
    const auto source = folder.write("map", "a 1\n");
    MapBuild build = build_of(GetParam(), source);
    build.ending = NulEnding::with;
    ASSERT_TRUE(build_map(build));
    EXPECT_EQ(ask(GetParam() + ":" + source, "a"), "=1");
}

TEST_P(MapTypes, AReplacedFileIsNoticed)
{
    const Folder folder;
    const auto source = folder.write("map", "a 1\n");
    ASSERT_TRUE(build_map(build_of(GetParam(), source)));
    const auto table = open_table(GetParam() + ":" + source);
    ASSERT_TRUE(table);
    EXPECT_FALSE((*table)->is_stale());
    ASSERT_TRUE(build_map(build_of(GetParam(), source)));
    EXPECT_TRUE((*table)->is_stale());
    EXPECT_EQ((*table)->find("a").value(), "1");
}

TEST_P(MapTypes, FileValuesComeBackWhole)
{
    const Folder folder;
    const auto content = folder.write("content", std::string("x\0\ny", 4));
    const auto source = folder.write("map", "a " + content + "\nb /nowhere/x\n");
    MapBuild build = build_of(GetParam(), source);
    build.values_are_files = true;
    ASSERT_TRUE(build_map(build));
    TableOptions options;
    options.values_are_files = true;
    EXPECT_EQ(ask(GetParam() + ":" + source, "a", options), std::string("=x\0\ny", 5));
    EXPECT_EQ(ask(GetParam() + ":" + source, "b", options), "absent");
}

INSTANTIATE_TEST_SUITE_P(Types, MapTypes, testing::Values("hash", "btree", "lmdb", "cdb"),
                         [](const auto& row) { return row.param; });

TEST(Cdb, DamagedFileIsAnErrorOrBroken)
{
    const Folder folder;
    for (const std::string& text : {std::string(), std::string(10, 'x'), std::string(5000, '\xff')}) {
        const auto path = folder.write("map.cdb", text);
        EXPECT_THAT(ask("cdb:" + path.substr(0, path.size() - 4), "a"),
                    testing::Not(testing::StartsWith("=")));
    }
}

// ---- Berkeley DB files

TEST(BerkeleyMap, IsMadeAnewFromItsSource)
{
    const Folder folder;
    const auto source = folder.write("virtual", "a 1\n");
    folder.write("virtual.db", "Berkeley");
    EXPECT_EQ(ask("hash:" + source, "a"), "=1");
    EXPECT_TRUE(std::filesystem::exists(source + ".lmdb"));
}

TEST(BerkeleyMap, AliasesKeepTheirFormat)
{
    const Folder folder;
    const auto source = folder.write("aliases", "# c\npostmaster: root\nlist : a,b\nx:y\n");
    folder.write("aliases.db", "Berkeley");
    EXPECT_EQ(ask("hash:" + source, "Postmaster"), "=root");
    EXPECT_EQ(ask("hash:" + source, "x"), "=y");
}

TEST(BerkeleyMap, WithoutSourceSaysWhatToRun)
{
    const Folder folder;
    const auto database = folder.write("map.db", "Berkeley");
    const std::string name = database.substr(0, database.size() - 3);
    EXPECT_THAT(ask("hash:" + name, "a"), HasSubstr("is a Berkeley DB file that this system does not read; "
                                                    "run: postmap hash:" +
                                                    name));
}

TEST(BerkeleyMap, NoDatabaseAtAllIsNotMade)
{
    const Folder folder;
    const auto source = folder.write("map", "a 1\n");
    EXPECT_EQ(ask("hash:" + source, "a"),
              "error: open database " + source + ".lmdb: No such file or directory");
}

TEST(LooksLikeAliases, TellsTheFormats)
{
    EXPECT_TRUE(TextSource::looks_like_aliases("a: b\n\"x y\" : c\nd:e\n"));
    EXPECT_FALSE(TextSource::looks_like_aliases("example.com smtp:[host]\n"));
    EXPECT_FALSE(TextSource::looks_like_aliases("2001:db8::1 OK\n"));
    EXPECT_FALSE(TextSource::looks_like_aliases("a: b\nc d\n"));
    EXPECT_FALSE(TextSource::looks_like_aliases(""));
}

// ---- values and keys

TEST(FileValue, Base64)
{
    for (const std::string text : {"", "a", "ab", "abc", "hello\n"})
        EXPECT_EQ(from_base64(to_base64(text)), text);
    EXPECT_EQ(to_base64("hello\n"), "aGVsbG8K");
    EXPECT_FALSE(from_base64("a"));
    EXPECT_FALSE(from_base64("a*=="));
}

TEST(MessageKeys, HeadersAndBody)
{
    const std::string message = "From: x\nSubject: y\n  z\n\nbody\n";
    EXPECT_THAT(message_keys(message, {.headers = true}), ElementsAre("From: x", "Subject: y\n  z"));
    EXPECT_THAT(message_keys(message, {.body = true}), ElementsAre("body"));
}

TEST(MessageKeys, PartsHaveHeadersToo)
{
    const std::string message =
        "Content-Type: multipart/mixed; boundary=\"b\"\n\npreamble\n--b\nX: 1\n\ntext\n"
        "--b\nContent-Type: message/rfc822\n\nY: 2\n\ninner\n--b--\nend\n";
    EXPECT_THAT(message_keys(message, {.headers = true, .parse_mime = true}),
                ElementsAre("Content-Type: multipart/mixed; boundary=\"b\"", "X: 1",
                            "Content-Type: message/rfc822", "Y: 2"));
    EXPECT_THAT(message_keys(message, {.body = true, .parse_mime = true}),
                ElementsAre("preamble", "text", "inner", "end"));
}

} // namespace
} // namespace bulkhead
