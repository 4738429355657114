<?php

// What the rest of the site does when there is a new notification.

apcu_store('notification_text', $_GET['text']);
apcu_store('notifications_7', microtime(true));
echo 'stored';
