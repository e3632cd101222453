// Look-ups per second of each type of table: 10,000 entries where a type has them, half of the questions
// absent; 100 rules for those that are tried in order.
#include "log/log.h"
#include "table/map_file.h"
#include "table/table.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

using namespace bulkhead;

namespace
{

constexpr int entry_count = 10000;
constexpr int rule_count = 100;

std::string text_of(int count, const std::function<std::string(int)>& line)
{
    std::string text;
    for (int i = 0; i < count; ++i)
        text += line(i) + "\n";
    return text;
}

std::string user(int i)
{
    return fmt::format("user{}@example.com", i);
}

void look_up(benchmark::State& state, const std::string& spec, const std::function<std::string(int)>& key_of)
{
    const auto table = open_table(spec);
    if (!table) {
        state.SkipWithError(table.error().context.c_str());
        return;
    }
    std::vector<std::string> keys;
    for (int i = 0; i < 1024; ++i)
        keys.push_back(key_of(i * (2 * entry_count / 1024)));
    std::size_t i = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize((*table)->find(keys[i++ % keys.size()]));
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

struct Folder {
    Folder() { path = ::mkdtemp(path.data()); }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string write(const std::string& name, const std::string& text) const
    {
        std::ofstream(path + "/" + name) << text;
        return path + "/" + name;
    }
    std::string path = "/tmp/bulkhead-table-bench.XXXXXX";
};

} // namespace

int main(int argc, char** argv)
{
    const Folder folder;
    const auto map = folder.write("map", text_of(entry_count, [](int i) { return user(i) + " value"; }));
    for (const char* type : {"hash", "cdb"}) {
        MapBuild build;
        build.type = type;
        build.name = map;
        if (!build_map(build))
            return 1;
    }
    const auto patterns = folder.write(
        "patterns", text_of(rule_count, [](int i) { return fmt::format("/^user{}@(.*)$/ OK $1", i * 200); }));
    const auto networks = folder.write(
        "networks", text_of(rule_count, [](int i) { return fmt::format("10.{}.0.0/16 OK", i * 2); }));
    const auto address = [](int i) { return fmt::format("10.{}.{}.1", i % 200, i % 7); };
    const auto add = [](const char* name, std::string spec, std::function<std::string(int)> key) {
        benchmark::RegisterBenchmark(name,
                                     [spec, key](benchmark::State& state) { look_up(state, spec, key); });
    };
    add("lmdb (hash, btree)", "hash:" + map, user);
    add("cdb", "cdb:" + map, user);
    add("texthash", "texthash:" + map, user);
    add("inline, 3 entries", "inline:{user0@example.com=a,b=c,d=e}", user);
    add("static", "static:x", user);
    add("environ", "environ:x", user);
    add("unix:passwd.byname", "unix:passwd.byname", [](int i) { return i % 2 ? "root" : "nobody-here"; });
    add("regexp, 100 rules", "regexp:" + patterns, user);
    add("pcre, 100 rules", "pcre:" + patterns, user);
    add("cidr, 100 rules", "cidr:" + networks, address);
    add("randmap", "randmap:{a,b,c}", user);
    add("pipemap of 2", "pipemap:{texthash:" + map + ",static:x}", user);
    add("unionmap of 2", "unionmap:{texthash:" + map + ",static:x}", user);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
