// The form's address without what is as usual, so that it can be read by whoever it is sent to.
for (const form of document.querySelectorAll("form.filters")) {
  const usual = (name) => form.elements[name].dataset?.usual ?? "";
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === usual(name)) formData.delete(name);
  });
}
