#include "config/file_edit.h"

#include "base/text.h"
#include "base/unique_fd.h"
#include "os/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <thread>

namespace bulkhead
{

namespace
{

bool is_passive(std::string_view line)
{
    const auto text = trim(line);
    return text.empty() || text.front() == '#';
}

// Lines with their line ends.
std::vector<std::string_view> lines_of(std::string_view text)
{
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto size = std::min(text.find('\n'), text.size() - 1) + 1;
        lines.push_back(text.substr(0, size));
        text.remove_prefix(size);
    }
    return lines;
}

// One past the last line that belongs to the definition on line i; comments inside of it
// belong to it, those behind it do not.
std::size_t end_of_definition(const std::vector<std::string_view>& lines, std::size_t i)
{
    std::size_t end = i + 1;
    for (std::size_t next = i + 1; next < lines.size(); ++next) {
        if (is_passive(lines[next]))
            continue;
        if (!is_blank(lines[next].front()))
            break;
        end = next + 1;
    }
    return end;
}

std::string joined(const std::vector<std::string_view>& lines, std::size_t begin, std::size_t end)
{
    std::string text;
    for (std::size_t i = begin; i < end; ++i) {
        std::string_view line = lines[i];
        if (is_passive(line))
            continue;
        while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
            line.remove_suffix(1);
        text.append(line);
    }
    while (!text.empty() && is_blank(text.back()))
        text.pop_back();
    return text;
}

void put_line(std::string& out, std::string_view line)
{
    if (!out.empty() && out.back() != '\n')
        out.push_back('\n');
    out.append(line);
}

void put_changed(std::string& out, const std::vector<std::string_view>& lines, std::size_t begin,
                 std::size_t end, const DefinitionChange& change)
{
    using enum DefinitionChange::Kind;
    if (change.kind == replace)
        append_lines(out, change.text);
    for (std::size_t i = begin; i < end; ++i) {
        if (is_passive(lines[i])) {
            put_line(out, lines[i]);
        } else if (change.kind == comment_out) {
            put_line(out, "#");
            out.append(lines[i]);
        }
    }
    if (change.kind == replace_at_end)
        append_lines(out, change.text);
}

} // namespace

void append_lines(std::string& text, std::string_view lines)
{
    put_line(text, lines);
    text.push_back('\n');
}

std::string edit_text(std::string_view text, const EditRule& rule)
{
    const auto lines = lines_of(text);
    std::string out;
    for (std::size_t i = 0; i < lines.size();) {
        // Blanks in front continue a line; where there is none, nobody defines anything.
        if (is_passive(lines[i]) || is_blank(lines[i].front())) {
            put_line(out, lines[i++]);
            continue;
        }
        const std::size_t end = end_of_definition(lines, i);
        if (const auto change = rule(joined(lines, i, end)))
            put_changed(out, lines, i, end, *change);
        else
            for (std::size_t line = i; line < end; ++line)
                put_line(out, lines[line]);
        i = end;
    }
    return out;
}

std::string main_cf_key(std::string_view line)
{
    return std::string(line.substr(0, std::min(line.find_first_of(" \t="), line.size())));
}

std::string master_cf_key(std::string_view line)
{
    const auto words = split(line, " \t");
    return words.size() < 2 ? std::string() : std::string(words[0]) + "/" + std::string(words[1]);
}

static DefinitionChange::Kind change_kind(FileEdit::Kind kind)
{
    switch (kind) {
    case FileEdit::Kind::remove:
        return DefinitionChange::Kind::remove;
    case FileEdit::Kind::comment_out:
        return DefinitionChange::Kind::comment_out;
    default:
        return DefinitionChange::Kind::replace;
    }
}

std::string edit_text(std::string_view text, const LineKey& key_of, const std::vector<FileEdit>& edits,
                      std::vector<std::string>* repeated)
{
    // The last one of a command line counts.
    std::map<std::string, const FileEdit*> by_key;
    for (const FileEdit& edit : edits)
        by_key.insert_or_assign(edit.key, &edit);
    std::map<std::string, int> seen;
    std::string out = edit_text(text, [&](std::string_view line) -> std::optional<DefinitionChange> {
        const auto it = by_key.find(key_of(line));
        if (it == by_key.end())
            return std::nullopt;
        if (++seen[it->first] == 2 && repeated != nullptr)
            repeated->push_back(it->first);
        return DefinitionChange{change_kind(it->second->kind), it->second->text};
    });
    for (const FileEdit& edit : edits)
        if (edit.kind == FileEdit::Kind::replace && !seen.contains(edit.key) && by_key[edit.key] == &edit)
            append_lines(out, edit.text);
    return out;
}

namespace
{

// An flock on the folder itself leaves nothing behind and ends with its holder.
Result<UniqueFd> lock_folder(const std::string& folder)
{
    constexpr int attempts = 1500;
    constexpr auto pause = std::chrono::milliseconds(20);
    UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        return system_error("open " + folder);
    for (int i = 0; i < attempts; ++i) {
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return system_error("lock " + folder);
        std::this_thread::sleep_for(pause);
    }
    return Error{Fault::timeout, "lock " + folder + ": another program holds it"};
}

// What an editor that was killed has left is removed: we hold the lock.
Result<> replace_file(const std::string& target, int folder, std::string_view contents)
{
    const std::string temporary = target + ".tmp";
    struct stat status{};
    if (::stat(target.c_str(), &status) != 0)
        return system_error("open " + target);
    ::unlink(temporary.c_str());
    UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
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
    if (::fsync(folder) != 0)
        return system_error("fsync the folder of " + target);
    return {};
}

} // namespace

Result<> rewrite_file(const std::string& path, std::size_t limit, const FileChange& change)
{
    const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
    if (!resolved)
        return system_error("open " + path);
    const std::string target(resolved.get());
    TRY(const UniqueFd folder, lock_folder(target.substr(0, std::max<std::size_t>(target.rfind('/'), 1))));
    TRY(const std::string before, read_file(target, limit));
    TRY(const std::string after, change(before));
    if (after == before)
        return {};
    return replace_file(target, folder.get(), after);
}

} // namespace bulkhead
