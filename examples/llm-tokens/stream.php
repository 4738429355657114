<?php

$id = $_GET['id'] ?? '';
if (!preg_match('/^[0-9a-f]{32}$/', $id)) {
    http_response_code(400);
    exit;
}
sse_stream("answers.$id");
