<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PhpSse\Tests\Support\Proc;

/**
 * Apache prefork with PHP inside, two processes. Options: 'tls' => 1: HTTPS, where no hand-off is possible; 'brotli' => 1:
 * responses are compressed for clients that take that.
 */
final class ApacheModPhp extends Server
{
    private Process $apache;

    public function scheme(): string
    {
        return ($this->options['tls'] ?? 0) ? 'https' : 'http';
    }

    protected function launch(): void
    {
        $path = $this->folder->path;
        $module = Php::apacheModule();
        $tls = $this->scheme() === 'https' ? $this->tls() : '';
        $brotli = (bool) ($this->options['brotli'] ?? 0);
        $filter = $brotli ? 'SetOutputFilter BROTLI_COMPRESS' : '';
        $file = $this->folder->file('apache.conf', Apache::configuration(
            $this,
            ['mpm_prefork', 'authz_core', 'mime', ...($tls === '' ? [] : ['ssl']), ...($brotli ? ['filter', 'brotli'] : [])],
            <<<CONF
            LoadModule php_module $module
            PHPIniDir "$path"
            ServerLimit 2
            MaxRequestWorkers 2
            StartServers 2
            MinSpareServers 2
            MaxSpareServers 2
            TypesConfig /dev/null
            $tls
            $filter
            <FilesMatch "\.php$">
                SetHandler application/x-httpd-php
            </FilesMatch>
            CONF,
        ));
        $this->apache = $this->run('apache', Apache::command($path, $file));
    }

    public function workers(): array
    {
        return array_values(array_filter(
            Proc::children($this->apache->pid),
            static fn (int $pid): bool => !Proc::isHub($pid),
        ));
    }

    public function owner(): Process
    {
        return $this->apache;
    }

    private function tls(): string
    {
        $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
        $request = openssl_csr_new(['commonName' => '127.0.0.1'], $key);
        openssl_x509_export(openssl_csr_sign($request, null, $key, 2), $certificate);
        openssl_pkey_export($key, $private);
        $certificateFile = $this->folder->file('certificate.pem', $certificate);
        $keyFile = $this->folder->file('key.pem', $private, 0600);

        return "SSLEngine on\nSSLCertificateFile \"$certificateFile\"\nSSLCertificateKeyFile \"$keyFile\"\n"
            . "SSLSessionCache none";
    }
}
