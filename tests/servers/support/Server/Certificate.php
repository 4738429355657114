<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** A certificate of 127.0.0.1 that nobody has signed, and its key. */
final class Certificate
{
    public readonly string $file;
    public readonly string $key;

    public function __construct(TempFolder $folder)
    {
        $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
        $request = openssl_csr_new(['commonName' => '127.0.0.1'], $key);
        openssl_x509_export(openssl_csr_sign($request, null, $key, 2), $certificate);
        openssl_pkey_export($key, $private);
        $this->file = $folder->file('certificate.pem', $certificate);
        $this->key = $folder->file('key.pem', $private, 0600);
    }
}
