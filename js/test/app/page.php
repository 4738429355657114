<!doctype html>
<meta charset="utf-8">
<title>SSEManager</title>
<?php
// A page of a site: what it needs to know is put into it by PHP. `script=plain` uses the build for script tags.
$config = ['cursor' => sse_cursor()];
echo '<script>const page = ', json_encode($config, JSON_HEX_TAG | JSON_THROW_ON_ERROR), ";</script>\n";
if (($_GET['script'] ?? '') === 'plain') {
    echo "<script src=\"/dist/SSEManager.js\"></script>\n";
} else {
    echo "<script type=\"module\">import * as client from '/dist/sse-manager.js'; Object.assign(window, client);</script>\n";
}
