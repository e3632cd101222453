#include "config/file_edit.h"

#include "base/text.h"
#include "base/unique_fd.h"
#include "os/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

namespace bulkhead
{

std::string main_cf_key(std::string_view line)
{
    return std::string(line.substr(0, std::min(line.find_first_of(" \t="), line.size())));
}

std::string master_cf_key(std::string_view line)
{
    const auto words = split(line, " \t");
    return words.size() < 2 ? std::string() : std::string(words[0]) + "/" + std::string(words[1]);
}

namespace
{

bool is_passive(std::string_view line)
{
    const auto text = trim(line);
    return text.empty() || text.front() == '#';
}

std::vector<std::string_view> lines_of(std::string_view text)
{
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

const FileEdit* find_edit(const std::vector<FileEdit>& edits, std::string_view key)
{
    // The last one of a command line counts.
    for (auto it = edits.rbegin(); it != edits.rend(); ++it)
        if (it->key == key)
            return &*it;
    return nullptr;
}

} // namespace

std::string edit_text(std::string_view text, const LineKey& key_of, const std::vector<FileEdit>& edits)
{
    const auto lines = lines_of(text);
    const auto begins_definition = [](std::string_view line) {
        return !is_passive(line) && !is_blank(line.front());
    };

    std::map<std::string, std::size_t> last_definition; // key -> line index
    for (std::size_t i = 0; i < lines.size(); ++i)
        if (begins_definition(lines[i]))
            last_definition[key_of(lines[i])] = i;

    std::string out;
    const FileEdit* current = nullptr; // what happens to the definition that we are in
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string_view line = lines[i];
        if (is_passive(line)) {
            out.append(line).push_back('\n');
            continue;
        }
        if (begins_definition(line)) {
            const std::string key = key_of(line);
            current = find_edit(edits, key);
            if (current != nullptr && current->kind == FileEdit::Kind::replace) {
                if (last_definition[key] == i)
                    out.append(current->text).push_back('\n');
                else
                    current = nullptr;
            }
        }
        if (current == nullptr)
            out.append(line).push_back('\n');
        else if (current->kind == FileEdit::Kind::comment_out)
            out.append("#").append(line).push_back('\n');
    }
    for (const FileEdit& edit : edits)
        if (edit.kind == FileEdit::Kind::replace && !last_definition.contains(edit.key) &&
            find_edit(edits, edit.key) == &edit)
            out.append(edit.text).push_back('\n');
    return out;
}

Result<> replace_file(const std::string& path, std::string_view contents)
{
    const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
    struct stat status{};
    if (!resolved || ::stat(resolved.get(), &status) != 0)
        return system_error("open " + path);
    const std::string target(resolved.get());
    std::string temporary = target + ".XXXXXX";
    UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd)
        return system_error("create " + temporary);
    const auto give_up = [&](Error error) {
        ::unlink(temporary.c_str());
        return error;
    };
    if (::geteuid() == 0 && ::fchown(fd.get(), status.st_uid, status.st_gid) != 0)
        return give_up(system_error("chown " + temporary));
    if (::fchmod(fd.get(), status.st_mode & 07777) != 0)
        return give_up(system_error("chmod " + temporary));
    if (auto written = write_all(fd.get(), contents); !written)
        return give_up(written.error());
    if (::fsync(fd.get()) != 0)
        return give_up(system_error("fsync " + temporary));
    if (::rename(temporary.c_str(), target.c_str()) != 0)
        return give_up(system_error("rename " + target));
    return {};
}

} // namespace bulkhead
