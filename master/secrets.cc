#include "secrets.h"

#include "config/config.h"

#include <sys/stat.h>

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::array<std::string_view, 12> secret_parameters{
    "smtpd_tls_key_file",  "smtpd_tls_eckey_file", "smtpd_tls_dkey_file",     "smtpd_tls_chain_files",
    "smtp_tls_key_file",   "smtp_tls_eckey_file",  "smtp_tls_chain_files",    "lmtp_tls_key_file",
    "lmtp_tls_eckey_file", "lmtp_tls_chain_files", "smtp_sasl_password_maps", "lmtp_sasl_password_maps",
};

// A table's source lies beside what is made of it.
constexpr std::array<std::string_view, 5> file_endings{"", ".db", ".lmdb", ".cdb", ".dir"};

bool is_open_to_others(const std::string& path)
{
    struct stat st{};
    return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

} // namespace

std::vector<std::string> warn_of_open_secrets(const Config& config)
{
    std::vector<std::string> lines;
    for (const std::string_view parameter : secret_parameters)
        for (const std::string& word : config.get_list(parameter)) {
            const auto start = word.find('/'); // behind "hash:", "proxy:hash:" or nothing
            for (const std::string_view ending : file_endings) {
                const std::string path =
                    fmt::format("{}{}", start == std::string::npos ? "" : word.substr(start), ending);
                if (is_open_to_others(path))
                    lines.push_back(fmt::format("{}: {}: {} can be read by others than its owner",
                                                config.place(parameter), parameter, path));
            }
        }
    return lines;
}

} // namespace bulkhead
