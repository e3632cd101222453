// A spool of its own for each test, removed afterwards, and queue files as bytes.
#pragma once

#include "spool/paths.h"
#include "spool/queue_file.h"
#include "spool/record.h"
#include "spool/size_record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bulkhead
{

inline std::string bytes_of(const std::filesystem::path& path)
{
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in) << path;
    return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string fixture(const std::string& name)
{
    return bytes_of(TEST_DATA "/queue-files/" + name);
}

inline QueueId id_of(std::string_view text)
{
    return *QueueId::parse(text);
}

class SpoolTest : public testing::Test
{
protected:
    explicit SpoolTest(SpoolLayout layout = {}) : spool_(open(std::move(layout))) {}
    ~SpoolTest() override { std::filesystem::remove_all(root_); }

    std::filesystem::path path(const std::string& relative) const { return root_ / relative; }
    void write(const std::string& relative, const std::string& bytes, mode_t mode = 0700) const
    {
        std::filesystem::create_directories(path(relative).parent_path());
        std::ofstream(path(relative), std::ios::binary) << bytes;
        ::chmod(path(relative).c_str(), mode);
    }
    bool exists(const std::string& relative) const { return std::filesystem::exists(path(relative)); }
    mode_t mode_of(const std::string& relative) const
    {
        struct stat st{};
        ::stat(path(relative).c_str(), &st);
        return st.st_mode & 07777;
    }

    std::filesystem::path root_;
    Spool spool_;

private:
    Spool open(SpoolLayout layout)
    {
        std::string pattern = testing::TempDir() + "bulkhead-spool-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        layout.root = root_;
        const auto made = ensure_spool(layout, {::geteuid(), ::getegid(), ::getegid()});
        EXPECT_TRUE(made) << (made ? "" : made.error().context);
        return *Spool::open(layout);
    }
};

// A message with its size record in order: one sender, these recipients, these lines.
inline std::string message(std::string_view sender, std::initializer_list<std::string_view> recipients,
                           std::initializer_list<std::string_view> lines)
{
    std::string envelope;
    append_record(envelope, RecordType::arrival_time, "1795332284 642171");
    append_attribute(envelope, "create_time", "1795332284");
    append_attribute(envelope, "rewrite_context", "local");
    append_record(envelope, RecordType::sender, sender);
    for (const std::string_view recipient : recipients) {
        append_attribute(envelope, "dsn_orig_rcpt", "rfc822;" + std::string(recipient));
        append_record(envelope, RecordType::original_recipient, recipient);
        append_record(envelope, RecordType::recipient, recipient);
    }
    append_record(envelope, RecordType::message_start, "");
    std::string content;
    for (const std::string_view line : lines)
        append_text(content, line);

    MessageSizes sizes;
    sizes.content_bytes = sizes.content_length = static_cast<std::int64_t>(content.size());
    sizes.data_offset = static_cast<std::int64_t>(size_record_bytes + envelope.size());
    sizes.recipients = static_cast<std::int64_t>(recipients.size());
    std::string file;
    append_size_record(file, sizes);
    file += envelope + content;
    append_record(file, RecordType::extracted_start, "");
    append_record(file, RecordType::end, "");
    return file;
}

} // namespace bulkhead
