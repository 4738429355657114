<?php

declare(strict_types=1);

// Composer's loader, unless the site has loaded it already: that of the site which has this library in vendor/, or of the
// folder above the document root, for a library that Composer has only linked to.
if (class_exists(Sse\Endpoint\Endpoint::class)) {
    return;
}
$folders = [dirname(__DIR__, 3), dirname(__DIR__, 4), dirname(__DIR__) . '/vendor'];
if (($_SERVER['DOCUMENT_ROOT'] ?? '') !== '') {
    $folders[] = dirname($_SERVER['DOCUMENT_ROOT']) . '/vendor';
}
foreach ($folders as $folder) {
    if (is_file("$folder/autoload.php")) {
        require_once "$folder/autoload.php";
        if (class_exists(Sse\Endpoint\Endpoint::class)) {
            return;
        }
    }
}
